// The programs are built for x86-64-v3 (AVX2, BMI2, FMA): on an older machine they say so instead of crashing.
#pragma once

namespace consilium {
void RequireCpu();  // Call first in main; the check itself runs before any other code of the program.
}
