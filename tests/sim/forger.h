// Adversaries: a hospital whose key is stolen, and a coordinator that lies under its own key. They replay what was sent
// and sign what never should have been; honest parties must stay within their books.
#pragma once

#include <functional>
#include <vector>

#include "common/wire/codec.h"
#include "tests/sim/network.h"
#include "tests/sim/watch.h"

namespace consilium::sim {

class Forger {
 public:
  Forger(Context& context, Network& network, Watch& watch) : context_(context), network_(network), watch_(watch) {}

  // The hospital whose key is stolen.
  struct Rogue {
    std::size_t end = 0;
    std::uint32_t number = 0;
  };
  void SetRogue(Rogue rogue) { rogue_ = std::move(rogue); }
  // A hospital's frame goes out (the visible profile hides nothing from an insider): perhaps the rogue says something.
  void AfterHospital(std::uint32_t number, const IdentityKey& rogue_key, const Bytes& frame);
  // The coordinator's frame goes out to one of `ends` hospitals, in number order: perhaps a lie follows it.
  void AfterCoordinator(std::size_t ends, const IdentityKey& key, const std::vector<TransportKey>& peers,
                        const Bytes& frame);

 private:
  void ForgeOffer(const IdentityKey& key);
  void ForgeInvite(const IdentityKey& key, std::uint32_t hospitals, const TransportKey& victim, std::uint32_t number);
  void AskForOwn(Invite* invite);
  void ForgeRelease(const IdentityKey& key, const TransportKey& victim);
  [[nodiscard]] bool Now() { return context_.Faulty() && context_.random.PerMille(context_.scenario.forged_per_mille); }

  Context& context_;
  Network& network_;
  Watch& watch_;
  std::optional<Rogue> rogue_;
  std::vector<Bytes> offers_;       // The rogue hospital's, as sent.
  std::optional<Offer> overheard_;  // The latest offer of anybody.
  std::vector<Bytes> said_;         // The coordinator's invitations and releases, as sent.
  std::optional<Invite> invite_;
  std::optional<Release> release_;
};

}  // namespace consilium::sim
