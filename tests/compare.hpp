// Tolerance: error against the truth at most twice that of a plain same-precision implementation,
// plus the rounding of the result's type. (Where weights have 16 bits, the plain one's have, too.)
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <sstream>
#include <string>

#include "oracle.hpp"

struct rounding {
  double half_ulp;    // of the stored type, relative
  double smallest;    // of the stored type, absolute
  double unit;        // half an ulp of the arithmetic, relative
  double score;       // the largest sum of magnitudes that makes a score
  double weight = 0;  // half an ulp of the weights, relative, where that is more than `unit`
};

/// Empty where every element of `got` is as near `truth` as `plain` promises; else the worst one.
template <class Truth, class Plain>
std::string compare(const oracle::tensor<double>& got, const oracle::tensor<Truth>& truth,
                    const oracle::tensor<Plain>& plain, const rounding& r) {
  Truth plain_error = 0, largest = 0;
  for (std::size_t i = 0; i < truth.values.size(); ++i) {
    if (!std::isfinite(truth.values[i])) continue;
    plain_error = std::max(plain_error, std::fabs(plain.values[i] - truth.values[i]));
    largest = std::max(largest, std::fabs(truth.values[i]));
  }
  // A plain implementation may be exact by luck on a few numbers; nobody can count on less than a
  // few roundings of sums, one of a score and one of a weight.
  const double allowed_error = static_cast<double>(
      2 * plain_error + (4 + r.score) * r.unit * (largest + 1) + r.weight * largest);
  double worst = 0;
  std::string report;
  for (std::size_t i = 0; i < truth.values.size(); ++i) {
    const double expected = static_cast<double>(truth.values[i]), found = got.values[i];
    double ratio = std::numeric_limits<double>::infinity();
    if (!std::isfinite(expected))
      ratio = found == expected ? 0 : ratio;
    else if (std::isfinite(found))
      ratio = static_cast<double>(std::fabs(found - truth.values[i])) /
              (allowed_error + 1.01 * r.half_ulp * std::fabs(expected) + r.smallest);
    if (ratio <= std::max(worst, 1.0)) continue;
    worst = ratio;
    const auto at = static_cast<oracle::integer>(i);
    const oracle::integer row = at / truth.size;
    std::ostringstream text;
    text.precision(9);
    text << "batch " << row / truth.heads / truth.tokens << " token "
         << row / truth.heads % truth.tokens << " head " << row % truth.heads << " element "
         << at % truth.size << ": " << found << ", but the truth is " << expected << "; error "
         << ratio << " times the allowed (plain error " << static_cast<double>(plain_error) << ")";
    report = text.str();
  }
  return report;
}

/// Equal to the last bit.
inline std::string compare_exactly(const oracle::tensor<double>& got,
                                   const oracle::tensor<double>& expected) {
  for (std::size_t i = 0; i < expected.values.size(); ++i)
    if (!(got.values[i] == expected.values[i])) {
      const auto row = static_cast<oracle::integer>(i) / expected.size;
      std::ostringstream text;
      text.precision(9);
      text << "row " << row << " (token " << row / expected.heads % expected.tokens << " head "
           << row % expected.heads << "): " << got.values[i] << " is not " << expected.values[i];
      return text.str();
    }
  return {};
}
