// mma.sync and ldmatrix against the tables of the PTX ISA, written out.
#include <catch2/catch_test_macros.hpp>
#include <random>
#include <string>

#include "../emulation/cuda_lane.hpp"

namespace {

using delta_attention::bfloat16;
using delta_attention::float16;
using emulation::cuda_lane;
using emulation::cuda::m16n8k16;
using emulation::cuda::words4;

constexpr int shared_bytes = 1024;
using kernel = std::function<void(const cuda_lane&)>;

void run(const kernel& body) {
  emulation::block where(1, cuda_lane::lanes, shared_bytes);
  emulation::run(where, 1, [&](const emulation::team& t) { body(cuda_lane(t, shared_bytes)); });
}

// "Matrix Fragments for mma.m16n8k16 with floating point type": element i of lane %laneid, with
// groupID = %laneid >> 2 and threadID_in_group = %laneid % 4.
struct entry {
  int row, column;
};
entry a_of(int lane, int i) {
  const int group = lane >> 2, thread = lane % 4;
  return {(0 <= i && i < 2) || (4 <= i && i < 6) ? group : group + 8,
          i < 4 ? thread * 2 + (i & 1) : thread * 2 + (i & 1) + 8};
}
entry b_of(int lane, int i) {
  const int group = lane >> 2, thread = lane % 4;
  return {i < 2 ? thread * 2 + (i & 1) : thread * 2 + (i & 1) + 8, group};
}
entry c_of(int lane, int i) {
  const int group = lane >> 2, thread = lane % 4;
  return {i < 2 ? group : group + 8, thread * 2 + (i & 1)};
}
// Lane 0 to 3 hold of A's first row a0 and a1, a4 and a5, as the ISA's figure draws them.
const char* const first_row_of_a =
    "0:0 0:1 1:0 1:1 2:0 2:1 3:0 3:1 0:4 0:5 1:4 1:5 2:4 2:5 3:4 3:5 ";
const char* const last_row_of_a =
    "28:2 28:3 29:2 29:3 30:2 30:3 31:2 31:3 28:6 28:7 29:6 29:7 30:6 30:7 31:6 31:7 ";
const char* const first_column_of_b =
    "0:0 0:1 1:0 1:1 2:0 2:1 3:0 3:1 0:2 0:3 1:2 1:3 2:2 2:3 3:2 3:3 ";
const char* const ninth_row_of_d = "0:2 0:3 1:2 1:3 2:2 2:3 3:2 3:3 ";

std::string text_of(emulation::place p) {
  return std::to_string(p.lane) + ":" + std::to_string(p.element) + " ";
}

// D += A B through the emulated instruction, with fragments from the tables above.
template <class Element> void check_product(unsigned seed) {
  std::mt19937 engine(seed);
  std::uniform_int_distribution<int> small(-8, 8);  // all sums are exact
  float a[16][16], b[16][8], d[16][8], expected[16][8];
  for (auto& row : a)
    for (float& x : row) x = static_cast<float>(small(engine));
  for (auto& row : b)
    for (float& x : row) x = static_cast<float>(small(engine)) / 4;
  for (auto& row : d)
    for (float& x : row) x = static_cast<float>(small(engine));
  for (int i = 0; i < 16; ++i)
    for (int j = 0; j < 8; ++j) {
      expected[i][j] = d[i][j];
      for (int k = 0; k < 16; ++k) expected[i][j] += a[i][k] * b[k][j];
    }
  run([&](const cuda_lane& lane) {
    words4 x;
    std::uint32_t y[2];
    float z[4];
    for (int r = 0; r < 4; ++r) {
      const entry low = a_of(lane.lane(), 2 * r), high = a_of(lane.lane(), 2 * r + 1);
      x.v[r] = cuda_lane::pack<Element>(a[low.row][low.column], a[high.row][high.column]);
    }
    for (int r = 0; r < 2; ++r) {
      const entry low = b_of(lane.lane(), 2 * r), high = b_of(lane.lane(), 2 * r + 1);
      y[r] = cuda_lane::pack<Element>(b[low.row][low.column], b[high.row][high.column]);
    }
    for (int r = 0; r < 4; ++r) {
      const entry at = c_of(lane.lane(), r);
      z[r] = d[at.row][at.column];
    }
    lane.mma<Element>(z, x, y[0], y[1]);
    for (int r = 0; r < 4; ++r) {
      const entry at = c_of(lane.lane(), r);
      CHECK(z[r] == expected[at.row][at.column]);
    }
  });
}

}  // namespace

TEST_CASE("emulation: the layout of mma.m16n8k16", "[emulation][mma]") {
  for (int lane = 0; lane < 32; ++lane) {
    for (int i = 0; i < 8; ++i) {
      const entry e = a_of(lane, i);
      const auto p = m16n8k16::a(e.row, e.column);
      CHECK((p.lane == lane && p.element == i));
    }
    for (int i = 0; i < 4; ++i) {
      const entry b = b_of(lane, i), c = c_of(lane, i);
      const auto p = m16n8k16::b(b.row, b.column), q = m16n8k16::d(c.row, c.column);
      CHECK((p.lane == lane && p.element == i));
      CHECK((q.lane == lane && q.element == i));
    }
  }
  std::string a_first, a_last, b_first, d_ninth;
  for (int k = 0; k < 16; ++k) {
    a_first += text_of(m16n8k16::a(0, k));
    a_last += text_of(m16n8k16::a(15, k));
    b_first += text_of(m16n8k16::b(k, 0));
    if (k < 8) d_ninth += text_of(m16n8k16::d(8, k));
  }
  CHECK(a_first == first_row_of_a);
  CHECK(a_last == last_row_of_a);
  CHECK(b_first == first_column_of_b);
  CHECK(d_ninth == ninth_row_of_d);
}

TEST_CASE("emulation: mma multiplies", "[emulation][mma]") {
  for (unsigned seed = 1; seed <= 3; ++seed) {
    check_product<bfloat16>(seed);
    check_product<float16>(seed);
  }
}

TEST_CASE("emulation: ldmatrix, plain and transposed", "[emulation][mma]") {
  for (const bool transposed : {false, true})
    run([&](const cuda_lane& lane) {
      // Element (r, c) of matrix q is 100 q + 10 r + c; rows lie in a scrambled order.
      const auto place_of = [](int row) { return row * 5 % 32 * 16; };
      const int row = lane.lane();
      std::uint16_t elements[8];
      for (int c = 0; c < 8; ++c)
        elements[c] = static_cast<std::uint16_t>(100 * (row / 8) + 10 * (row % 8) + c);
      for (int c = 0; c < 8; ++c) lane.shared_store(place_of(row) + 2 * c, elements[c]);
      lane.barrier();
      const words4 got = lane.load_matrices(place_of(row), transposed);
      for (int q = 0; q < 4; ++q)
        for (int i = 0; i < 2; ++i) {
          const int r = lane.lane() / 4, c = lane.lane() % 4 * 2 + i;
          const unsigned expected =
              static_cast<unsigned>(100 * q + (transposed ? 10 * c + r : 10 * r + c));
          CHECK((got.v[q] >> 16 * i & 0xffff) == expected);
        }
    });
}

TEST_CASE("emulation: numbers of a lane", "[emulation]") {
  CHECK(cuda_lane::pack<bfloat16>(1.0f, -2.0f) == 0xc0003f80);
  CHECK(cuda_lane::pack<float16>(1.0f, -2.0f) == 0xc0003c00);
  CHECK(cuda_lane::pack<bfloat16>(1.0f + 0x1p-8f, 1.0f + 0x1.8p-7f) == 0x3f823f80);  // to even
  CHECK(cuda_lane::exp2(-INFINITY) == 0);
  CHECK(cuda_lane::exp2(3) == 8);
  CHECK(cuda_lane::exp2(-140) == 0);  // no subnormal numbers
}
