// How a running study is shown: on a terminal a picture that is drawn again, elsewhere a line a change, under --json a
// document a change.
#pragma once

#include <string>

#include "common/settings/terminal.h"

namespace consilium::cli {

class WatchView {
 public:
  // `stream`: under --json, a document a change (else nothing there). `warn`: the plan's warning first.
  explicit WatchView(const Terminal& terminal, bool stream, bool warn);
  void See(const Value& study);
  void Finish();  // Leaves the picture as it is.

 private:
  void Draw(const Value& study);
  void Line(const Value& study);

  const Terminal& terminal_;
  bool stream_, warn_;
  bool drawn_ = false, live_ = false, colour_ = false;
  std::size_t lines_ = 0;
  std::string last_;
};

}  // namespace consilium::cli
