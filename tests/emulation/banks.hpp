// How many cycles accesses to shared memory take: 32 banks, each one word of 4 bytes a cycle. So it
// is on NVIDIA's GPUs and on AMD's up to CDNA 3.
#pragma once

#include <algorithm>
#include <array>
#include <vector>

namespace emulation {

struct bank_count {
  long instructions = 0, cycles = 0, ideal = 0;
  double ratio() const { return ideal == 0 ? 1 : double(cycles) / double(ideal); }
  friend bank_count operator+(const bank_count& a, const bank_count& b) {
    return {a.instructions + b.instructions, a.cycles + b.cycles, a.ideal + b.ideal};
  }
};

/// The accesses of one wave, noted lane by lane. The n-th since the lanes were last together are
/// taken for one instruction, where they agree in size and direction.
class wave_banks {
 public:
  explicit wave_banks(int lanes) : log_(static_cast<std::size_t>(lanes)) {}

  void note(int lane, int at, int bytes, bool write) {
    log_[static_cast<std::size_t>(lane)].push_back({at, bytes, write});
  }
  /// The lanes are together again.
  void count(bank_count& reads, bank_count& writes) {
    std::size_t most = 0;
    for (const auto& lane : log_) most = std::max(most, lane.size());
    for (std::size_t n = 0; n < most; ++n)
      for (const bool write : {false, true})
        for (const int bytes : {1, 2, 4, 8, 16}) count(n, bytes, write, write ? writes : reads);
    for (auto& lane : log_) lane.clear();
  }

 private:
  struct access {
    int at, bytes;
    bool write;
  };

  // An instruction goes in groups of lanes that ask for 128 bytes together, and a group takes as
  // many cycles as the busiest bank has different words for it. Lanes of a group are neighbours,
  // but for reads of 16 bytes by AMD's waves of 64: there lanes 0 to 3 go with 20 to 23, 4 to 7
  // with 16 to 19, 8 to 11 with 28 to 31 and so on (Composable Kernel's documentation,
  // "Understanding AMD GPU LDS and Bank Conflicts").
  static std::size_t lane_of(std::size_t group, std::size_t i, std::size_t size, bool crossed) {
    if (!crossed) return group * size + i;
    const std::size_t first = group / 4 * 32 + group % 4 * 4;  // and three more
    return i < 4 ? first + i : (first ^ 20) + i % 4;
  }
  void count(std::size_t n, int bytes, bool write, bank_count& to) const {
    const std::size_t size =
        std::min(128 / static_cast<std::size_t>(std::max(bytes, 4)), log_.size());
    const bool crossed = log_.size() == 64 && bytes == 16 && !write;
    bool any = false;
    for (std::size_t group = 0; group < log_.size() / size; ++group) {
      std::vector<int> words;
      for (std::size_t i = 0; i < size; ++i) {
        const std::vector<access>& lane = log_[lane_of(group, i, size, crossed)];
        if (n < lane.size() && lane[n].bytes == bytes && lane[n].write == write)
          for (int b = 0; b < bytes; b += 4) words.push_back((lane[n].at + b) / 4);
      }
      if (words.empty()) continue;
      std::sort(words.begin(), words.end());
      words.erase(std::unique(words.begin(), words.end()), words.end());
      std::array<int, 32> bank{};
      for (const int word : words) ++bank[static_cast<std::size_t>(word % 32)];
      to.cycles += *std::max_element(bank.begin(), bank.end());
      ++to.ideal;
      any = true;
    }
    to.instructions += any ? 1 : 0;
  }

  std::vector<std::vector<access>> log_;
};

}  // namespace emulation
