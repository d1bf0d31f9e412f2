// See network.h.
#include "tests/sim/network.h"

#include "common/base/check.h"

namespace consilium::sim {
namespace {

void MixFrame(Trace& trace, ByteView frame) {
  trace.Mix(frame.size());
  trace.Mix(frame.subspan(0, std::min<std::size_t>(frame.size(), 64)));
  if (frame.size() > 128) trace.Mix(frame.last(64));
}

}  // namespace

std::size_t Network::AddEnd(TransportKey key, Sink sink) {
  auto& end = ends_.emplace_back();
  end.key = key;
  end.sink = std::move(sink);
  return ends_.size() - 1;
}

std::optional<std::size_t> Network::EndOf(const PeerKey& peer) const {
  for (std::size_t i = 0; i < ends_.size(); ++i) {
    if (ends_[i].key == peer) return i;
  }
  return {};
}

Duration Network::NoticeAfter() {  // A reset is seen at once, a silent loss when the transport's heartbeats fail.
  if (context_.random.PerMille(700)) return context_.Within(Duration(100), std::chrono::milliseconds(300));
  return context_.Within(std::chrono::milliseconds(300), std::chrono::seconds(20));
}

void Network::Break(End& end, bool end_notices, bool coordinator_notices) {
  const auto lost = end.epoch++;
  end.up = false;
  if (end_notices && end.alive && end.told) {
    const auto index = static_cast<std::size_t>(&end - ends_.data());
    context_.scheduler.After(NoticeAfter(), [this, index, now_at = end.epoch] {
      auto& e = ends_[index];
      if (!e.alive || e.epoch != now_at) return;
      if (std::exchange(e.told, false)) e.sink(PeerLost{server_, "closed"});
      DialSoon(index);
    });
  } else if (end_notices && end.alive) {
    DialSoon(static_cast<std::size_t>(&end - ends_.data()));
  }
  if (!coordinator_notices) return;
  context_.scheduler.After(NoticeAfter(), [this, key = end.key, lost] {
    auto it = seen_.find(key);
    if (!coordinator_up_ || it == seen_.end() || it->second != lost) return;
    seen_.erase(it);
    to_coordinator_(PeerLost{key, "closed"});
  });
}

void Network::EndStarted(std::size_t end) {
  ends_[end].alive = true;
  ends_[end].told = false;
  ends_[end].failures = 0;
  DialSoon(end);
}

void Network::EndStopped(std::size_t end) {
  auto& e = ends_[end];
  e.alive = e.told = false;
  if (e.up) Break(e, false, true);
}

void Network::CoordinatorStarted() { coordinator_up_ = true; }

void Network::CoordinatorStopped() {
  coordinator_up_ = false;
  seen_.clear();
  admitted_.clear();
  for (auto& end : ends_) {
    if (end.up) Break(end, true, false);
  }
}

void Network::Admit(std::set<PeerKey> keys) { admitted_ = std::move(keys); }

void Network::DialSoon(std::size_t end) {
  auto& e = ends_[end];
  if (!e.alive || e.up) return;
  const Duration ceiling =
      std::min<Duration>(std::chrono::milliseconds(250) * (1U << std::min(e.failures, 5U)), std::chrono::seconds(5));
  context_.scheduler.After(context_.Within(Duration(1000), ceiling), [this, end, token = ++e.dial_token] {
    if (ends_[end].dial_token == token) Dial(end);
  });
}

void Network::Dial(std::size_t end) {
  auto& e = ends_[end];
  if (!e.alive || e.up) return;
  if (!coordinator_up_ || context_.now() < e.blocked_until || !admitted_.contains(e.key)) {
    ++e.failures;
    if (context_.random.PerMille(300)) e.sink(PeerLost{server_, "no answer"});
    return DialSoon(end);
  }
  e.failures = 0;
  e.up = true;
  const auto epoch = ++e.epoch;
  e.last_up = e.last_down = context_.now();
  context_.scheduler.After(context_.Within(context_.scenario.latency_least, context_.scenario.latency_most * 2),
                           [this, end, epoch] {
                             auto& now = ends_[end];
                             if (!now.up || now.epoch != epoch) return;
                             now.told = true;
                             context_.Note("{} is connected", end + 1);
                             now.sink(PeerConnected{server_});
                           });
}

Duration Network::ArrivalAfter(Duration& last, std::size_t bytes) {
  const auto& scenario = context_.scenario;
  const Duration arrival =
      std::max(last, context_.now() + context_.Within(scenario.latency_least, scenario.latency_most) +
                         Duration(bytes / 10));  // 10 MB/s
  if (context_.Faulty() && context_.random.PerMille(scenario.swap_per_mille)) {
    return arrival + context_.Within(scenario.latency_least, scenario.latency_most * 3);
  }
  return last = arrival;
}

void Network::FromEnd(std::size_t end, Bytes frame) {
  auto& e = ends_[end];
  if (!e.up) return;
  MixFrame(context_.trace, frame);
  const auto& scenario = context_.scenario;
  const bool twice = context_.Faulty() && context_.random.PerMille(scenario.double_per_mille);
  for (int copy = 0; copy < (twice ? 2 : 1); ++copy) {
    context_.scheduler.At(ArrivalAfter(e.last_up, frame.size()),
                          [this, end, epoch = e.epoch, frame] { Arrived(end, epoch, frame); });
  }
  if (context_.Faulty() && context_.random.PerMille(scenario.frame_cut_per_mille)) Cut(end, "with a frame in flight");
}

void Network::Arrived(std::size_t end, std::uint64_t epoch, Bytes frame) {
  const auto& e = ends_[end];
  if (!e.up || e.epoch != epoch || !coordinator_up_) return;
  auto it = seen_.find(e.key);
  if (it == seen_.end() || it->second != epoch) {
    if (it != seen_.end()) to_coordinator_(PeerLost{e.key, "replaced by a newer connection"});
    seen_[e.key] = epoch;
    to_coordinator_(PeerConnected{e.key});
  }
  to_coordinator_(FrameReceived{e.key, std::move(frame)});
}

void Network::FromCoordinator(const PeerKey& to, Bytes frame) {
  const auto end = EndOf(to);
  auto it = seen_.find(to);
  if (!end || it == seen_.end()) return;
  auto& e = ends_[*end];
  if (!e.up || e.epoch != it->second) return;  // Into a connection that is gone already.
  MixFrame(context_.trace, frame);
  const auto& scenario = context_.scenario;
  const bool twice = context_.Faulty() && context_.random.PerMille(scenario.double_per_mille);
  for (int copy = 0; copy < (twice ? 2 : 1); ++copy) {
    context_.scheduler.At(ArrivalAfter(e.last_down, frame.size()), [this, end = *end, epoch = e.epoch, frame] {
      const auto& receiver = ends_[end];
      if (receiver.up && receiver.epoch == epoch && receiver.told) receiver.sink(FrameReceived{server_, frame});
    });
  }
  if (context_.Faulty() && context_.random.PerMille(scenario.frame_cut_per_mille)) Cut(*end, "with a frame in flight");
}

void Network::Cut(std::size_t end, std::string_view why) {
  auto& e = ends_[end];
  if (!e.up) return;
  context_.Note("the connection of {} breaks {}", end + 1, why);
  Break(e, true, true);
}

void Network::Block(std::size_t end, Duration until) {
  ends_[end].blocked_until = std::max(ends_[end].blocked_until, until);
  Cut(end, "and stays broken");
}

void Network::DisconnectPeer(const PeerKey& peer) {
  const auto end = EndOf(peer);
  if (!end || !ends_[*end].up) return;
  auto it = seen_.find(peer);
  if (it != seen_.end() && it->second == ends_[*end].epoch) seen_.erase(it);
  Break(ends_[*end], true, false);
}

}  // namespace consilium::sim
