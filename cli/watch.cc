#include "cli/watch.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

namespace consilium::cli {
namespace {

constexpr int kBarWidth = 32;

std::string Bar(std::int64_t done, std::int64_t total) {
  const std::int64_t filled = total > 0 ? std::min<std::int64_t>(kBarWidth, done * kBarWidth / total) : 0;
  return "[" + std::string(static_cast<std::size_t>(filled), '#') +
         std::string(static_cast<std::size_t>(kBarWidth - filled), '.') + "]";
}

std::string HospitalState(const Value& hospital) {
  if (hospital["verdict"].AsString() != "approved") {
    const std::string& reason = hospital["reason"].AsString();
    return Printable(hospital["verdict"].AsString()) + (reason.empty() ? "" : " (" + Printable(reason) + ")");
  }
  if (!hospital["online"].AsBool()) return "offline";
  if (hospital["uploaded"].AsBool()) return "uploaded";
  std::string out = Printable(hospital["phase"].AsString());
  const std::int64_t total = hospital["bytes_total"].AsInteger();
  if (total > 0) out += fmt::format(" {} %", hospital["bytes_done"].AsInteger() * 100 / total);
  const std::string& absent = hospital["absent_reason"].AsString();
  return absent.empty() ? out : out + "; left out of the last sum: " + Printable(absent);
}

std::string Headline(const Value& study) {
  std::string out = fmt::format("{}: {}", Printable(study["name"].AsString()), Printable(study["phase"].AsString()));
  if (!study["reason"].AsString().empty()) out += " (" + Printable(study["reason"].AsString()) + ")";
  if (!study["trouble"].AsString().empty()) out += ": " + Printable(study["trouble"].AsString());
  return out + fmt::format(", {} of {} answers", study["releases"].AsInteger(), study["total_releases"].AsInteger());
}

// What a script sees of a change: nothing that moves without meaning.
Value Brief(const Value& study) {
  Value hospitals = Value(Value::Array());
  for (const Value& h : study["hospitals"].AsArray()) {
    hospitals.Push(Value()
                       .Set("name", h["name"])
                       .Set("verdict", h["verdict"])
                       .Set("online", h["online"])
                       .Set("absent_reason", h["absent_reason"]));
  }
  Value out;
  for (const char* key : {"study", "name", "phase", "reason", "releases", "total_releases", "attempt"})
    out.Set(key, study[key]);
  return out.Set("hospitals", hospitals);
}

}  // namespace

WatchView::WatchView(const Terminal& terminal, bool stream, bool warn)
    : terminal_(terminal),
      stream_(stream),
      warn_(warn),
      live_(!terminal.json() && isatty(STDERR_FILENO) != 0),
      colour_(live_ && std::getenv("NO_COLOR") == nullptr) {}

void WatchView::See(const Value& study) {
  if (warn_ && !drawn_ && !terminal_.json() && !study["warning"].AsString().empty())
    terminal_.Note(PrintableLines(study["warning"].AsString()));
  drawn_ = true;
  if (live_) {
    Draw(study);
  } else {
    Line(study);
  }
}

void WatchView::Draw(const Value& study) {
  std::string picture =
      fmt::format("{} {}{}{}\n", Bar(study["releases"].AsInteger(), study["total_releases"].AsInteger()),
                  colour_ ? "\x1b[1m" : "", Headline(study), colour_ ? "\x1b[0m" : "");
  std::size_t lines = 1;
  for (const Value& hospital : study["hospitals"].AsArray()) {
    picture += fmt::format("  {:<20} {}\n", Printable(hospital["name"].AsString()), HospitalState(hospital));
    ++lines;
  }
  if (picture == last_) return;
  std::string out = lines_ > 0 ? fmt::format("\x1b[{}A\x1b[J", lines_) : "";
  out += picture;
  std::fwrite(out.data(), 1, out.size(), stderr);
  std::fflush(stderr);
  lines_ = lines;
  last_ = std::move(picture);
}

void WatchView::Line(const Value& study) {
  const Value brief = Brief(study);
  std::string now = terminal_.json() ? CanonicalJson(brief) : Headline(study);
  if (!terminal_.json()) {
    for (const Value& hospital : study["hospitals"].AsArray()) {
      const std::string& absent = hospital["absent_reason"].AsString();
      const bool approved = hospital["verdict"].AsString() == "approved";
      if (approved && hospital["online"].AsBool() && absent.empty()) continue;
      now += fmt::format("; {}: {}", Printable(hospital["name"].AsString()), HospitalState(hospital));
    }
  }
  if (now == last_) return;
  if (terminal_.json()) {
    if (stream_) terminal_.StreamLine(brief);
  } else {
    terminal_.Note(now);
  }
  last_ = std::move(now);
}

void WatchView::Finish() { lines_ = 0; }

}  // namespace consilium::cli
