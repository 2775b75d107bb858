// The emulator with AMD's waves of 64: what the width and the vendor change. Everything else is in
// test_emulation.cpp.
#include <array>
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <cmath>
#include <stdexcept>
#include <string>
#include <vector>

#include "emulation/amd_lane.hpp"
#include "test_emulation/runs.hpp"

namespace {

using Catch::Matchers::ContainsSubstring;
using delta_attention::bfloat16;
using delta_attention::float16;
using emulation::amd_lane;
using emulation::block;
using emulation::amd::words2;
using emulation::amd::words4;

constexpr int shared_bytes = 4096;

template <class Kernel> void run(const Kernel& kernel) {
  emulation_test::run_on<amd_lane>(kernel, shared_bytes);
}
template <class Kernel> void caught(const Kernel& kernel, const std::string& words) {
  const std::string said = emulation_test::error_on<amd_lane>(kernel, shared_bytes);
  CHECK_THAT(said, ContainsSubstring(words));
}

}  // namespace

TEST_CASE("emulation, AMD: a word of the other wave after a barrier", "[emulation]") {
  std::vector<int> got(128, -1);
  run([&](const amd_lane& lane) {
    for (int round = 0; round < 3; ++round) {
      lane.shared_store(4 * lane.thread(), 100 * round + lane.thread());
      lane.barrier();
      got[static_cast<std::size_t>(lane.thread())] =
          lane.shared_load<int>(4 * ((lane.thread() + 65) % 128));
      lane.barrier();
    }
  });
  for (int t = 0; t < 128; ++t) CHECK(got[static_cast<std::size_t>(t)] == 200 + (t + 65) % 128);
}

TEST_CASE("emulation, AMD: races within a wave", "[emulation]") {
  // Lanes 0 and 32 are one wave here, and yet nothing but a barrier orders them.
  caught(
      [](const amd_lane& lane) {
        lane.shared_store(4 * lane.thread(), 1);
        lane.any(true);
        lane.shared_load<int>(4 * (lane.thread() ^ 32));
      },
      "race: reads");
  caught(
      [](const amd_lane& lane) {
        lane.shared_store(4 * lane.thread(), 1);
        lane.barrier();
        lane.shared_load<int>(4 * (lane.thread() ^ 32));
        lane.any(true);
        lane.shared_store(4 * lane.thread(), 2);
      },
      "race: overwrites");
  caught([](const amd_lane& lane) { lane.shared_store(4 * (lane.lane() % 32), 1); },
         "and so has thread");
}

TEST_CASE("emulation, AMD: the launch", "[emulation]") {
  const auto kernel = [](const emulation::team& t) { amd_lane(t, shared_bytes); };
  block narrow(4, 32, shared_bytes), small(2, 64, shared_bytes - 1), shifted(2, 64, shared_bytes);
  shifted.origin = 8;
  CHECK_THROWS_AS(emulation::run(narrow, 1, kernel), emulation::failure);
  CHECK_THROWS_AS(emulation::run(small, 1, kernel), emulation::failure);
  CHECK_THROWS_AS(emulation::run(shifted, 1, kernel), emulation::failure);
  shifted.origin = 48;
  CHECK_NOTHROW(emulation::run(shifted, 1, kernel));
}

TEST_CASE("emulation, AMD: what a wave keeps", "[emulation]") {
  run([](const amd_lane& lane) {
    const int& kept = lane.keep(64 * lane.wave(), lane.wave());
    lane.barrier();
    if (kept != lane.thread() / 64) throw std::logic_error("another wave's");
  });
  caught(
      [](const amd_lane& lane) {
        lane.keep(64 * lane.wave(), 1.0);
        lane.barrier();
        lane.barrier();
        if (lane.thread() == 127) lane.shared_store(64, 1);
      },
      "which thread 64 keeps");
  caught([](const amd_lane& lane) { lane.keep(16 * (lane.lane() / 32), 1); }, "lanes keep at");
  // In registers, without a place.
  run([](const amd_lane& lane) {
    const std::array<int, 3> kept = lane.keep(std::array<int, 3>{1, lane.thread(), 2});
    if (kept != std::array<int, 3>{1, 64 * lane.wave(), 2}) throw std::logic_error("not the first");
  });
  caught(
      [](const amd_lane& lane) {
        if (lane.lane() < 32) lane.keep(1);
      },
      "deadlock");
}

TEST_CASE("emulation, AMD: lanes must come together", "[emulation]") {
  caught(
      [](const amd_lane& lane) {
        if (lane.lane() < 32) lane.shuffle_xor(1, 1);
      },
      "deadlock");
  caught(
      [](const amd_lane& lane) {
        if (lane.thread() != 64 + 5) lane.barrier();
      },
      "wave 1: 63 lanes at the barrier");
  caught(
      [](const amd_lane& lane) {
        if (lane.lane() < 32)
          lane.any(true);
        else
          lane.ballot(true);
      },
      "divergent");
  // Another type of elements is another instruction, on the same line too.
  const auto multiply = []<class Element>(const amd_lane& lane, Element) {
    amd_lane::registers<16> d{};
    lane.mfma<Element>(d, words2{}, words2{});
  };
  caught(
      [&](const amd_lane& lane) {
        if (lane.lane() < 32)
          multiply(lane, bfloat16());
        else
          multiply(lane, float16());
      },
      "divergent");
  CHECK_NOTHROW(run([&](const amd_lane& lane) {  // waves may part
    if (lane.wave() == 0)
      multiply(lane, bfloat16());
    else
      multiply(lane, float16());
    for (int i = 0; i < 3 * lane.wave(); ++i) lane.any(true);
    lane.barrier();
  }));
  caught([](const amd_lane& lane) { lane.shuffle_xor(1, 64); }, "shuffle with mask 64");
}

TEST_CASE("emulation, AMD: an error says who", "[emulation]") {
  caught(
      [](const amd_lane& lane) {
        lane.barrier();
        if (lane.thread() == 101) lane.shared_load<int>(2);
      },
      "thread 101 (wave 1, lane 37) at test_emulation_amd.cpp:");
}

TEST_CASE("emulation, AMD: shuffle and vote", "[emulation]") {
  std::vector<float> sums(128);
  std::vector<int> votes(128), distances(128);
  std::vector<std::uint64_t> ballots(128);
  run([&](const amd_lane& lane) {
    const auto t = static_cast<std::size_t>(lane.thread());
    float x = static_cast<float>(lane.thread());
    distances[t] = static_cast<int>(lane.shuffle_xor(x, 32)) - lane.thread();
    for (int mask = 1; mask < 64; mask *= 2) x += lane.shuffle_xor(x, mask);
    sums[t] = x;
    votes[t] = lane.any(lane.thread() == 127);
    ballots[t] = lane.ballot(lane.thread() % 18 == 5);
  });
  for (std::size_t t = 0; t < 128; ++t) {
    CHECK(sums[t] == (t < 64 ? 2016 : 2016 + 64 * 64));
    CHECK(votes[t] == (t >= 64));
    CHECK(distances[t] == (t % 64 < 32 ? 32 : -32));
    CHECK(ballots[t] == (t < 64 ? 0x0800020000800020u : 0x2000080002000u));
  }
}

TEST_CASE("emulation, AMD: pieces of global memory", "[emulation]") {
  alignas(16) std::array<std::uint16_t, 64> data;
  for (std::size_t i = 0; i < data.size(); ++i) data[i] = static_cast<std::uint16_t>(i);
  const auto attempt = [&](const auto& read) {
    block where(1, amd_lane::lanes, shared_bytes);
    where.global().allow(&data[0], 48);
    where.global().allow(&data[40], 14);
    try {
      emulation_test::run_on<amd_lane>(read, where, shared_bytes);
    } catch (const emulation::failure& f) {
      return std::string(f.what());
    }
    return std::string("fine");
  };
  const auto load = [&](std::uint32_t bytes) {
    return attempt([&](const amd_lane& lane) {
      const words4 x = lane.load<words4>(data.data(), bytes);
      if (std::memcmp(&x, reinterpret_cast<const char*>(data.data()) + bytes, 16) != 0)
        throw std::logic_error("another value");
    });
  };
  CHECK(load(0) == "fine");
  CHECK(load(32) == "fine");
  CHECK(load(6) == "fine");  // elements are aligned, pieces need not be
  CHECK_THAT(load(7), ContainsSubstring("global memory misaligned"));
  CHECK_THAT(load(34), ContainsSubstring("global memory out of bounds"));
  CHECK_THAT(load(80), ContainsSubstring("global memory out of bounds"));
  CHECK_THAT(load(4096), ContainsSubstring("global memory out of bounds"));
  // An offset is never negative.
  CHECK_THAT(attempt([&](const amd_lane& lane) {
               lane.load<words4>(&data[16], static_cast<std::uint32_t>(-32));
             }),
             ContainsSubstring("global memory out of bounds"));
  // An address of the lane's own.
  const auto load_own = [&](std::size_t bytes) {
    return attempt([&](const amd_lane& lane) {
      const char* from = reinterpret_cast<const char*>(data.data()) + bytes * (lane.lane() != 3);
      const words4 x = lane.load<words4>(static_cast<const void*>(from));
      if (std::memcmp(&x, from, 16) != 0) throw std::logic_error("another value");
    });
  };
  CHECK(load_own(6) == "fine");
  CHECK_THAT(load_own(7), ContainsSubstring("global memory misaligned"));
  CHECK_THAT(load_own(34), ContainsSubstring("global memory out of bounds"));
  CHECK(attempt([&](const amd_lane& lane) {
          const words2 x = lane.load<words2>(data.data(), 38);
          if (x.v[0] != 0x140013 || x.v[1] != 0x160015) throw std::logic_error("another value");
        }) == "fine");

  // The base is a scalar register's; lanes may be masked off, and the next time it may be another.
  CHECK(attempt([&](const amd_lane& lane) {
          for (int i = 0; i < 3; ++i)
            if (lane.lane() % 5 != 0)
              lane.load<words4>(&data[static_cast<std::size_t>(i)],
                              2 * static_cast<std::uint32_t>(lane.lane() % 8));
        }) == "fine");
  CHECK_THAT(attempt([&](const amd_lane& lane) {
               lane.load<words4>(&data[static_cast<std::size_t>(lane.lane() / 32)], 0);
             }),
             ContainsSubstring("not uniform"));
  // Another line, and another time since all were together, are other instructions.
  const auto two_lines = [&](const amd_lane& lane) {
    if (lane.lane() < 8)
      lane.load<words4>(&data[0], 0);
    else
      lane.load<words4>(&data[1], 0);
  };
  CHECK(attempt(two_lines) == "fine");
  CHECK(attempt([&](const amd_lane& lane) {
          for (std::size_t i = 0; i < 2; ++i) {
            if (static_cast<std::size_t>(lane.lane() % 2) == i) lane.load<words4>(&data[i], 0);
            lane.any(true);
          }
        }) == "fine");
}

TEST_CASE("emulation, AMD: bank conflicts", "[emulation]") {
  const auto count = [](const auto& place, auto type, bool store) {
    block where(1, amd_lane::lanes, 16384);
    where.count_banks = true;
    emulation::run(where, 1, [&](const emulation::team& t) {
      const amd_lane lane(t, 16384);
      for (int i = 0; i < 16; ++i) lane.shared_store(16 * (lane.thread() + 64 * i), words4{});
      lane.barrier();
      if (store)
        lane.shared_store(place(lane.lane()), type);
      else
        lane.shared_load<decltype(type)>(place(lane.lane()));
    });
    if (!store) {
      CHECK(where.stores.instructions == 16);
      CHECK(where.stores.ratio() == 1);
      CHECK(where.loads.instructions == 1);
    }
    return store ? where.stores.cycles - 16 * 8 : where.loads.cycles;
  };
  for (const bool store : {false, true}) {
    // One cycle for every 128 bytes: groups of 32, 16 and 8 lanes.
    CHECK(count([](int l) { return 4 * l; }, 0, store) == 2);
    CHECK(count([](int l) { return 8 * l; }, words2{}, store) == 4);
    CHECK(count([](int l) { return 16 * l; }, words4{}, store) == 8);
    CHECK(count([](int l) { return 8 * l; }, 0, store) == 4);
    // All in one bank, or one after the other in eight.
    CHECK(count([](int l) { return 128 * l; }, 0, store) == 64);
    CHECK(count([](int l) { return 128 * l; }, words2{}, store) == 64);
    CHECK(count([](int l) { return 128 * l; }, words4{}, store) == 64);
    CHECK(count([](int l) { return 128 * l + (l % 8) * 16; }, words4{}, store) == 8);  // swizzled
    // Each sixteen lanes have 128 bytes of their own.
    CHECK(count([](int l) { return 256 * (l / 16) + 8 * (l % 16); }, words2{}, store) == 4);
  }
  CHECK(count([](int) { return 64; }, words4{}, false) == 8);  // the same for all
  // Sixteen-byte reads go in groups of lanes 0 to 3 and 20 to 23, 4 to 7 and 16 to 19, 8 to 11 and
  // 28 to 31, 12 to 15 and 24 to 27; writes go in eights. Here lanes 4 to 7 take the banks of lanes
  // 0 to 3, and so on in every eight.
  const auto fours = [](int l) { return 128 * (l / 4 % 2) + 256 * (l / 8) + 16 * (l % 4); };
  CHECK(count(fours, words4{}, true) == 16);
  CHECK(count(fours, words4{}, false) == 16);
  // Lanes 16 to 31 use the other half of the banks: reads pair them with lanes 0 to 15.
  const auto halves = [](int l) { return 128 * l + 64 * (l / 16 % 2) + 16 * (l % 4); };
  CHECK(count(halves, words4{}, true) == 16);
  CHECK(count(halves, words4{}, false) == 8);
  // Lanes 0 to 3 and 20 to 23 want the same banks: only reads notice.
  const auto crossed = [](int l) { return 128 * l + 64 * ((l / 4 ^ l / 16) % 2) + 16 * (l % 4); };
  CHECK(count(crossed, words4{}, true) == 8);
  CHECK(count(crossed, words4{}, false) == 16);
}

TEST_CASE("emulation, AMD: numbers of a lane", "[emulation]") {
  CHECK(amd_lane::pack<bfloat16>(1.0f, -2.0f) == 0xc0003f80);
  CHECK(amd_lane::pack<float16>(1.0f, -2.0f) == 0xc0003c00);
  CHECK(amd_lane::pack<bfloat16>(1.0f + 0x1p-8f, 1.0f + 0x1.8p-7f) == 0x3f823f81);  // ties away
  CHECK(amd_lane::low_halves(0x11112222, 0x33334444) == 0x44442222);
  CHECK(amd_lane::high_halves(0x11112222, 0x33334444) == 0x33331111);
  CHECK(amd_lane::exp2(-INFINITY) == 0);
  CHECK(amd_lane::exp2(3) == 8);
  CHECK(amd_lane::exp2(-140) == 0);  // no subnormal numbers
  amd_lane::registers<4> r{{1, 2, 3, 4}};
  r.set(2, 7);
  CHECK(r.get(2) == 7);
  CHECK(r.get(3) == 4);
  float x[2] = {3, 1.0f + 0x1p-23f}, sum[2] = {1, 2};
  amd_lane::multiply_add(x, 1.0f - 0x1p-23f, -1);
  CHECK(x[0] == 2.0f - 3 * 0x1p-23f);
  CHECK(x[1] == -0x1p-46f);  // one rounding
  amd_lane::add(sum, x);
  CHECK(sum[0] == 3.0f - 3 * 0x1p-23f);
  CHECK(sum[1] == 2);
}
