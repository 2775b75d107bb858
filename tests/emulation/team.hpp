// What a kernel gets in place of a Kokkos team member: one thread of an emulated block.
#pragma once

#include "block.hpp"

namespace emulation {

class team {
 public:
  team(emulation::block& where, int rank, int league_rank, int league_size)
      : block_(&where), rank_(rank), league_rank_(league_rank), league_size_(league_size) {}

  int team_rank() const { return rank_; }
  int team_size() const { return block_->threads(); }
  int league_rank() const { return league_rank_; }
  int league_size() const { return league_size_; }
  emulation::block& block() const { return *block_; }

 private:
  emulation::block* block_;
  int rank_, league_rank_, league_size_;
};

/// Runs kernel(team) for every thread of every team of a league, one team after the other.
template <class Kernel> void run(block& where, int league_size, const Kernel& kernel) {
  for (int rank = 0; rank < league_size; ++rank)
    where.run([&](int thread) { kernel(team(where, thread, rank, league_size)); });
}

}  // namespace emulation
