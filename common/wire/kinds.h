// Sizes of the wire's enums and the names of its kinds, in schemas/wire.capnp's order. Internal to common/wire.
#pragma once

#include <array>

#include "common/wire/messages.h"

namespace consilium {

inline constexpr std::size_t kReasons = static_cast<std::size_t>(Reason::kMemory) + 1;
inline constexpr std::size_t kPhases = static_cast<std::size_t>(Phase::kWaiting) + 1;
inline constexpr std::size_t kStudyPhases = static_cast<std::size_t>(StudyPhase::kFailed) + 1;

// By the discriminant of Message; Later::kind is an index into it.
inline constexpr std::array<std::string_view, 27> kWireKinds = {
    "Hello",      "Welcome",      "Refused",  "Enroll",    "Roster",
    "PlanOffer",  "PlanVerdict",  "Invite",   "Decline",   "Advert",
    "Adverts",    "Shares",       "Delivery", "Accept",    "Complaint",
    "Offer",      "Pull",         "Receipt",  "Survivors", "ConsistencySignature",
    "Unmask",     "UnmaskShares", "Release",  "Abandon",   "Heartbeat",
    "StudyState", "RosterDraft"};
std::string_view WireKindName(std::uint16_t kind);

}  // namespace consilium
