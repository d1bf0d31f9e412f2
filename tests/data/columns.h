// Declared columns for tests.
#pragma once

#include "common/plan/schema.h"

namespace consilium::testing {

inline Column NumberColumn(std::string name, double minimum, double maximum) {
  Column out;
  out.name = std::move(name);
  out.type = Column::Type::kNumber;
  out.minimum = minimum;
  out.maximum = maximum;
  return out;
}

inline Column CategoryColumn(std::string name, std::vector<std::string> levels) {
  Column out;
  out.name = std::move(name);
  out.type = Column::Type::kCategory;
  out.levels = std::move(levels);
  return out;
}

inline Column LabelColumn(std::string name, std::vector<std::string> positive, std::vector<std::string> negative) {
  Column out;
  out.name = std::move(name);
  out.type = Column::Type::kLabel;
  out.positive = std::move(positive);
  out.negative = std::move(negative);
  return out;
}

}  // namespace consilium::testing
