// What both Turn targets are made of: a federation of three with fixed keys, three plans, and made-up next rosters.
#pragma once

#include "tests/fuzz/host.h"
#include "tests/roster/federation.h"

namespace consilium::fuzz {

inline constexpr std::uint8_t kServer = 91;
// As TestIdentity and TestTransport, made once.
const IdentityKey& Identity(std::uint32_t n);
const TransportKey& Transport(std::uint32_t n);
const RosterChain& Chain();  // Of hospitals 1 to 3, whose officers decide.
// 0: a description that rides inside its message; 1: a training of two rounds that releases hospitals' own figures; 2:
// a description that is pulled.
const std::vector<Plan>& Plans();

// The roster after `last` with one change that the source chooses, signed by whom it chooses.
SignedRoster NextLink(Source& source, const SignedRoster& last);
Value RosterBody(const SignedRoster& link);  // Of POST /v1/roster.
SignedRoster LastLink(const sim::Disk& disk);
Blob BlobOf(ByteView content);

}  // namespace consilium::fuzz
