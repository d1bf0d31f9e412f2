// What most tests need, precompiled (CMakeLists.txt). No file includes it by name.
#pragma once

#include <fstream>
#include <thread>

#include <gtest/gtest.h>

#include "common/base/pch.h"
