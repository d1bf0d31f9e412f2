// Answers made up for algorithms.
#pragma once

#include <gtest/gtest.h>

#include <cmath>

#include "common/algorithms/algorithm.h"
#include "common/privacy/encode.h"

namespace consilium::testing {

// The answer when two hospitals send these blocks.
inline Answer AnswerOf(const Query& query, const RawContribution& a, const RawContribution& b) {
  Bytes sum = *Encode(query, a, nullptr);
  if (query.release == ReleaseTo::kHospital) {
    const Bytes second = *Encode(query, b, nullptr);
    sum.insert(sum.end(), second.begin(), second.end());
    return *Answer::Create(query, {1, 2}, sum);
  }
  AddWords(query.ring, sum, *Encode(query, b, nullptr));
  return *Answer::Create(query, {1, 2}, sum);
}

inline RawContribution Zeros(const Query& query) {
  RawContribution out;
  for (const Block& block : query.blocks) {
    if (block.name != kCountBlock) out.blocks.emplace_back(block.length, 0.0);
  }
  return out;
}

// Something in every block that a hospital could have sent.
inline RawContribution Something(const Query& query, double salt) {
  RawContribution out = Zeros(query);
  for (std::size_t b = 0; b < out.blocks.size(); ++b) {
    for (std::size_t i = 0; i < out.blocks[b].size(); ++i) {
      const double v = std::abs(std::sin(salt + static_cast<double>(b) + 3.0 * static_cast<double>(i)));
      out.blocks[b][i] = query.blocks[b].role == Role::kCount     ? std::round(50 * v)
                         : query.blocks[b].role == Role::kPresent ? 1
                                                                  : v / 2;
    }
  }
  return out;
}

inline void AbsorbSomething(Algorithm* algorithm) {
  const Step step = *algorithm->Next(2);
  const auto salt = static_cast<double>(algorithm->Save().step);
  const auto absorbed = algorithm->Absorb(
      step.query, AnswerOf(step.query, Something(step.query, salt), Something(step.query, salt + 0.5)));
  ASSERT_TRUE(absorbed.has_value()) << absorbed.error().what;
}

}  // namespace consilium::testing
