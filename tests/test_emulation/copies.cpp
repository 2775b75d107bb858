// Asynchronous copies: groups, and who may touch their bytes when.
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <vector>

#include "../emulation/cuda_lane.hpp"

namespace {

using Catch::Matchers::ContainsSubstring;
using emulation::cuda_lane;
using emulation::cuda::words4;

constexpr int shared_bytes = 4096;

struct alignas(16) piece {
  std::uint32_t v[4];
};
const std::vector<piece>& source() {
  static const std::vector<piece> pieces = [] {
    std::vector<piece> all(64);
    for (std::uint32_t i = 0; i < all.size(); ++i) all[i] = {{i, i, i, i}};
    return all;
  }();
  return pieces;
}

/// What the emulator says of a kernel; the same with every seed.
template <class Kernel> std::string outcome(const Kernel& kernel) {
  std::string said;
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    emulation::block where(2, cuda_lane::lanes, shared_bytes, seed);
    where.global().allow(source().data(), source().size() * 16);
    try {
      emulation::run(where, 1,
                     [&](const emulation::team& t) { kernel(cuda_lane(t, shared_bytes)); });
      said = "fine";
    } catch (const emulation::failure& f) {
      if (said == "fine") return "luck decides";
      said = f.what();
    }
  }
  return said;
}
template <class Kernel> void fine(const Kernel& kernel) {
  const std::string said = outcome(kernel);
  CHECK(said == "fine");
}
template <class Kernel> void caught(const Kernel& kernel, const std::string& words) {
  const std::string said = outcome(kernel);
  CHECK_THAT(said, ContainsSubstring(words));
}
void copy_own(const cuda_lane& lane, int to = 0) {
  lane.copy_async(to + 16 * lane.thread(), &source()[static_cast<std::size_t>(lane.thread())],
                  true);
}
std::uint32_t read(const cuda_lane& lane, int piece, int from = 0) {
  return lane.shared_load<words4>(from + 16 * piece).v[3];
}

}  // namespace

TEST_CASE("emulation: copies arrive after wait and barrier", "[emulation][copies]") {
  fine([](const cuda_lane& lane) {
          copy_own(lane);
          lane.commit_copies();
          lane.wait_copies<0>();
          CHECK(read(lane, lane.thread()) == static_cast<std::uint32_t>(lane.thread()));
          lane.barrier();
          const int other = (lane.thread() + 40) % 64;
          CHECK(read(lane, other) == static_cast<std::uint32_t>(other));
        });
  // The wait may come after a barrier; then it needs another.
  fine([](const cuda_lane& lane) {
          copy_own(lane);
          lane.commit_copies();
          lane.barrier();
          lane.wait_copies<0>();
          lane.barrier();
          CHECK(read(lane, lane.thread() ^ 32) == static_cast<std::uint32_t>(lane.thread() ^ 32));
        });
}

TEST_CASE("emulation: copies of what does not exist are zeros", "[emulation][copies]") {
  fine([](const cuda_lane& lane) {
          lane.copy_async(16 * lane.thread(), nullptr, false);
          lane.commit_copies();
          lane.wait_copies<0>();
          CHECK(read(lane, lane.thread()) == 0);
        });
}

TEST_CASE("emulation: copies that nobody waited for", "[emulation][copies]") {
  caught([](const cuda_lane& lane) {
               copy_own(lane);
               read(lane, lane.thread());
             }, "pending copy: reads");
  caught([](const cuda_lane& lane) {
               copy_own(lane);
               lane.commit_copies();
               lane.barrier();
               read(lane, lane.thread() ^ 1);
             }, "pending copy: reads");
  caught([](const cuda_lane& lane) {
               copy_own(lane);
               lane.commit_copies();
               lane.shared_store(16 * lane.thread() + 4, 1);
             }, "pending copy: overwrites");
  caught([](const cuda_lane& lane) {
               copy_own(lane);
               lane.commit_copies();
               copy_own(lane);
             }, "pending copy: overwrites");
  // What is not committed is not waited for.
  caught([](const cuda_lane& lane) {
               copy_own(lane);
               lane.wait_copies<0>();
               read(lane, lane.thread());
             }, "pending copy: reads");
}

TEST_CASE("emulation: copies and the others", "[emulation][copies]") {
  // The wait is of the thread's own copies; the others' need a barrier.
  caught([](const cuda_lane& lane) {
               copy_own(lane);
               lane.commit_copies();
               lane.wait_copies<0>();
               lane.any(true);
               read(lane, lane.thread() ^ 1);
             }, "race: reads");
  caught([](const cuda_lane& lane) {
               copy_own(lane);
               lane.commit_copies();
               lane.barrier();
               lane.wait_copies<0>();
               lane.any(true);
               read(lane, lane.thread() ^ 1);
             }, "race: reads");
  // A copy is a write from its issue on.
  caught([](const cuda_lane& lane) {
               lane.shared_store(16 * lane.thread(), words4{});
               lane.barrier();
               read(lane, lane.thread() ^ 1);
               lane.any(true);
               copy_own(lane);
             }, "race: overwrites");
}

TEST_CASE("emulation: groups of copies", "[emulation][copies]") {
  const auto two_groups = [](const cuda_lane& lane) {
    copy_own(lane);
    lane.commit_copies();
    copy_own(lane, 1024);
    lane.commit_copies();
    lane.wait_copies<1>();
  };
  fine([&](const cuda_lane& lane) {
          two_groups(lane);
          read(lane, lane.thread());
          lane.wait_copies<0>();
          read(lane, lane.thread(), 1024);
        });
  caught([&](const cuda_lane& lane) {
               two_groups(lane);
               read(lane, lane.thread(), 1024);
             }, "pending copy");
  // An empty group counts.
  fine([&](const cuda_lane& lane) {
          two_groups(lane);
          lane.commit_copies();
          lane.wait_copies<1>();
          read(lane, lane.thread(), 1024);
        });
}

TEST_CASE("emulation: places of copies", "[emulation][copies]") {
  caught([](const cuda_lane& lane) {
               lane.copy_async(16 * lane.thread() + 8, &source()[0], true);
             }, "shared memory misaligned");
  caught([](const cuda_lane& lane) {
               lane.copy_async(16 * lane.thread(), &source()[0].v[1], true);
             }, "global memory misaligned");
  caught([](const cuda_lane& lane) {
               lane.copy_async(16 * lane.thread(), source().data() + 64, true);
             }, "global memory out of bounds");
}
