// How many cycles accesses to shared memory take: 32 banks, each one word of 4 bytes a cycle.
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

  // An instruction goes in groups of lanes that ask for 128 bytes together; a group takes as many
  // cycles as the busiest bank has different words for it.
  void count(std::size_t n, int bytes, bool write, bank_count& to) const {
    const std::size_t group = 128 / static_cast<std::size_t>(std::max(bytes, 4));
    bool any = false;
    for (std::size_t first = 0; first < log_.size(); first += group) {
      std::vector<int> words;
      for (std::size_t l = first; l < std::min(first + group, log_.size()); ++l)
        if (n < log_[l].size() && log_[l][n].bytes == bytes && log_[l][n].write == write)
          for (int b = 0; b < bytes; b += 4) words.push_back((log_[l][n].at + b) / 4);
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
