// The matrix instructions against the written-out tables, element by element, and against plain
// products.
#include <catch2/catch_template_test_macros.hpp>
#include <catch2/catch_test_macros.hpp>
#include <cmath>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "../emulation/amd_lane.hpp"
#include "layouts.hpp"

namespace {

using delta_attention::bfloat16;
using delta_attention::float16;
using emulation::amd_lane;
using emulation::amd::words2;
using emulation::amd::words4;
using layouts::operand_line;
using layouts::result_line;

template <class Type> struct v_mfma_f32_32x32x8 {
  using element = Type;
  static constexpr int size = 32, k = 8, registers = 16;
  static constexpr auto& a = layouts::a_32x32x8;
  static constexpr auto& b = layouts::b_32x32x8;
  static constexpr auto& d = layouts::d_32x32x8;
};
template <class Type> struct v_mfma_f32_16x16x16 {
  using element = Type;
  static constexpr int size = 16, k = 16, registers = 4;
  static constexpr auto& a = layouts::a_16x16x16;
  static constexpr auto& b = layouts::b_16x16x16;
  static constexpr auto& d = layouts::d_16x16x16;
};

// An element's lane and its number there: by the tables, half 31:16 of register 1 is number 3.
struct place {
  int lane = -1, element = -1;
};
using places = std::vector<std::vector<place>>;  // [row of A or column of B][k], [row][column] of D

void put(places& all, int i, int j, place p) {
  place& at = all[static_cast<std::size_t>(i)][static_cast<std::size_t>(j)];
  REQUIRE(at.lane == -1);  // the table says it once
  at = p;
}
places empty(int rows, int columns) {
  return places(static_cast<std::size_t>(rows),
                std::vector<place>(static_cast<std::size_t>(columns)));
}
// Every element is in the table, and so is everything that the lanes hold, each once.
void check_complete(const places& all, int per_lane) {
  std::vector<int> held(static_cast<std::size_t>(64 * per_lane));
  for (const auto& row : all)
    for (const place p : row) {
      REQUIRE((0 <= p.lane && p.lane < 64 && 0 <= p.element && p.element < per_lane));
      ++held[static_cast<std::size_t>(per_lane * p.lane + p.element)];
    }
  for (const int n : held) REQUIRE(n == 1);
}
template <std::size_t N> places read(const operand_line (&table)[N], int size, int k) {
  places all = empty(size, k);
  for (const operand_line& line : table) {
    REQUIRE(line.lanes.last - line.lanes.first ==
            line.rows_or_columns.last - line.rows_or_columns.first);
    for (int lane = line.lanes.first, i = line.rows_or_columns.first; lane <= line.lanes.last;
         ++lane, ++i)
      put(all, i, line.k, {lane, 2 * line.v + (line.half.first == 16 ? 1 : 0)});
  }
  check_complete(all, 4);
  return all;
}
template <std::size_t N> places read(const result_line (&table)[N], int size, int registers) {
  places all = empty(size, size);
  for (const result_line& line : table) {
    REQUIRE(line.lanes.last - line.lanes.first == line.columns.last - line.columns.first);
    for (int lane = line.lanes.first, j = line.columns.first; lane <= line.lanes.last; ++lane, ++j)
      put(all, line.row, j, {lane, line.v});
  }
  check_complete(all, registers);
  return all;
}
template <class Instruction> struct tables {
  places a = read(Instruction::a, Instruction::size, Instruction::k),
         b = read(Instruction::b, Instruction::size, Instruction::k),
         d = read(Instruction::d, Instruction::size, Instruction::registers);
};
place at(const places& all, int i, int j) {
  return all[static_cast<std::size_t>(i)][static_cast<std::size_t>(j)];
}

/// 64 lanes run body(lane).
template <class Body> void run(const Body& body) {
  emulation::block where(1, amd_lane::lanes, 0);
  emulation::run(where, 1, [&](const emulation::team& t) { body(amd_lane(t, 0)); });
}

template <class Element> constexpr std::uint32_t one = 0;
template <> constexpr std::uint32_t one<bfloat16> = 0x3f80;
template <> constexpr std::uint32_t one<float16> = 0x3c00;

template <class Element> void set_one(words2& x, int element) {
  x.v[element / 2] |= one<Element> << 16 * (element % 2);
}

}  // namespace

#define INSTRUCTIONS                                                                        \
  v_mfma_f32_32x32x8<bfloat16>, v_mfma_f32_32x32x8<float16>, v_mfma_f32_16x16x16<bfloat16>, \
      v_mfma_f32_16x16x16<float16>

TEMPLATE_TEST_CASE("emulation: layouts of mfma", "[emulation][mfma]", INSTRUCTIONS) {
  using instruction = TestType;
  using element = typename instruction::element;
  using accumulators = amd_lane::registers<instruction::registers>;
  constexpr int size = instruction::size, depth = instruction::k;
  const tables<instruction> table;
  long seen = 0;
  std::string wrong;
  run([&](const amd_lane& lane) {
    // d is 1 in one place, given as a lane and a register, and 0 elsewhere.
    const auto look = [&](const accumulators& d, place wanted, const std::string& what) {
      for (int e = 0; e < instruction::registers; ++e) {
        const bool here = wanted.lane == lane.lane() && wanted.element == e;
        if (d.get(e) != (here ? 1.0f : 0.0f) && wrong.empty())
          wrong =
              emulation::text(what, ": register ", e, " of lane ", lane.lane(), " is ", d.get(e));
        seen += here && d.get(e) == 1.0f;
      }
    };
    // A one in any element of any lane of A meets ones of B at the same k only.
    for (int i = 0; i < size; ++i)
      for (int k = 0; k < depth; ++k) {
        words2 a{}, others{};
        if (at(table.a, i, k).lane == lane.lane()) set_one<element>(a, at(table.a, i, k).element);
        for (int j = 0; j < size; ++j) {
          words2 b{};
          const place of_b = at(table.b, j, k);
          if (of_b.lane == lane.lane()) set_one<element>(b, of_b.element);
          accumulators d{};
          lane.mfma<element>(d, a, b);
          look(d, at(table.d, i, j), emulation::text("row ", i, ", column ", j, ", k ", k));
          for (int other = 0; other < depth; ++other)
            if (other != k && at(table.b, j, other).lane == lane.lane())
              set_one<element>(others, at(table.b, j, other).element);
        }
        accumulators d{};
        lane.mfma<element>(d, a, others);
        look(d, {}, emulation::text("row ", i, ", k ", k, " and all others"));
      }
  });
  CHECK(wrong == "");
  CHECK(seen == long(size) * size * depth);
}

TEMPLATE_TEST_CASE("emulation: mfma multiplies", "[emulation][mfma]", INSTRUCTIONS) {
  using instruction = TestType;
  using element = typename instruction::element;
  constexpr int size = instruction::size, depth = instruction::k;
  const tables<instruction> table;
  for (unsigned seed = 1; seed <= 5; ++seed) {
    std::mt19937 engine(seed);
    std::normal_distribution<float> normal;
    // Numbers that the element has; D begins with something.
    const auto random = [&] {
      return emulation::value_of<element>(amd_lane::pack<element>(normal(engine), 0));
    };
    float a[size][depth], b[depth][size], d[size][size];
    for (auto& row : a)
      for (float& x : row) x = random();
    for (auto& row : b)
      for (float& x : row) x = random();
    for (auto& row : d)
      for (float& x : row) x = 3 * normal(engine);
    double largest = 0;
    int compared = 0;
    run([&](const amd_lane& lane) {
      float x[4] = {}, y[4] = {};
      amd_lane::registers<instruction::registers> z{};
      for (int i = 0; i < size; ++i)
        for (int k = 0; k < depth; ++k) {
          const place p = at(table.a, i, k), q = at(table.b, i, k);
          if (p.lane == lane.lane()) x[p.element] = a[i][k];
          if (q.lane == lane.lane()) y[q.element] = b[k][i];
        }
      for (int i = 0; i < size; ++i)
        for (int j = 0; j < size; ++j) {
          const place p = at(table.d, i, j);
          if (p.lane == lane.lane()) z.set(p.element, d[i][j]);
        }
      lane.mfma<element>(
          z, words2{{amd_lane::pack<element>(x[0], x[1]), amd_lane::pack<element>(x[2], x[3])}},
          words2{{amd_lane::pack<element>(y[0], y[1]), amd_lane::pack<element>(y[2], y[3])}});
      for (int i = 0; i < size; ++i)
        for (int j = 0; j < size; ++j) {
          const place p = at(table.d, i, j);
          if (p.lane != lane.lane()) continue;
          double expected = d[i][j], scale = std::fabs(expected);
          for (int k = 0; k < depth; ++k) {
            expected += double(a[i][k]) * double(b[k][j]);
            scale += std::fabs(double(a[i][k]) * double(b[k][j]));
          }
          largest = std::fmax(largest, std::fabs(double(z.get(p.element)) - expected) / scale);
          ++compared;
        }
    });
    CHECK(compared == size * size);
    CHECK(largest < 4e-7);  // some roundings of a float sum
  }
}

TEMPLATE_TEST_CASE("emulation: mfma with operands of two", "[emulation][mfma]", INSTRUCTIONS) {
  using element = typename TestType::element;
  using accumulators = amd_lane::registers<TestType::registers>;
  run([](const amd_lane& lane) {
    // Elements 1 + lane % 3 and the like, all of them exact.
    const auto some = [&](int seed) {
      return amd_lane::pack<element>(static_cast<float>(1 + (lane.lane() + seed) % 3),
                                     static_cast<float>((lane.lane() * seed) % 5));
    };
    const words4 a{{some(1), some(2), some(3), some(4)}}, b{{some(5), some(6), some(7), some(8)}};
    accumulators at_once{}, one_by_one{};
    lane.mfma<element>(at_once, a, b);
    lane.mfma<element>(one_by_one, words2{{a.v[0], a.v[1]}}, words2{{b.v[0], b.v[1]}});
    lane.mfma<element>(one_by_one, words2{{a.v[2], a.v[3]}}, words2{{b.v[2], b.v[3]}});
    for (int e = 0; e < TestType::registers; ++e)
      if (at_once.get(e) != one_by_one.get(e) || at_once.get(e) == 0)
        throw std::logic_error("another product");
  });
}
