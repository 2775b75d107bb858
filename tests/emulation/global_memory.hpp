// Which global memory a kernel may read: registered pieces, each access aligned as its instruction
// wants.
#pragma once

#include <cstdint>
#include <iterator>
#include <map>

#include "failure.hpp"

namespace emulation {

class global_memory {
 public:
  /// Bytes that may be read. Pieces that touch are one; pieces do not overlap.
  void allow(const void* data, std::size_t bytes) {
    if (bytes == 0) return;
    std::uintptr_t begin = address(data), end = begin + bytes;
    auto next = pieces_.lower_bound(begin);
    if (next != pieces_.end() && next->first == end) {
      end = next->second;
      next = pieces_.erase(next);
    }
    if (next != pieces_.begin() && std::prev(next)->second == begin)
      std::prev(next)->second = end;
    else
      pieces_.emplace_hint(next, begin, end);
  }

  void clear() { pieces_.clear(); }

  void check_alignment(const void* data, std::size_t bytes, std::size_t alignment) const {
    if (address(data) % alignment != 0)
      fail("global memory misaligned: ", bytes, " bytes at ", data);
  }
  void check(const void* data, std::size_t bytes, std::size_t alignment) const {
    check_alignment(data, bytes, alignment);
    auto piece = pieces_.upper_bound(address(data));
    if (piece == pieces_.begin() || address(data) + bytes > std::prev(piece)->second)
      fail("global memory out of bounds: ", bytes, " bytes at ", data);
  }

 private:
  static std::uintptr_t address(const void* p) { return reinterpret_cast<std::uintptr_t>(p); }

  std::map<std::uintptr_t, std::uintptr_t> pieces_;  // begin, end
};

}  // namespace emulation
