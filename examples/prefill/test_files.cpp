// The GGUF reader on a file made here, dequantisation on blocks made by hand, the tokenizer.
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "dequantise.hpp"
#include "gguf.hpp"
#include "test.hpp"
#include "tokenizer.hpp"

namespace prefill_test {

using namespace prefill;

namespace {

template <class T>
void put(std::string& bytes, T value) {
  bytes.append(reinterpret_cast<char const*>(&value), sizeof value);
}
void put_string(std::string& bytes, std::string const& text) {
  put<std::uint64_t>(bytes, text.size());
  bytes += text;
}

/// Half precision of small powers of two and their sums, written by hand.
constexpr std::uint16_t half_one = 0x3C00, half_two = 0x4000, minus_half = 0xB800;

std::string tiny_gguf() {
  std::string b = "GGUF";
  put<std::uint32_t>(b, 3);
  put<std::uint64_t>(b, 1);
  put<std::uint64_t>(b, 4);
  put_string(b, "general.architecture"), put<std::uint32_t>(b, 8), put_string(b, "llama");
  put_string(b, "llama.block_count"), put<std::uint32_t>(b, 4), put<std::uint32_t>(b, 30);
  put_string(b, "llama.rope.freq_base"), put<std::uint32_t>(b, 6), put<float>(b, 1e5F);
  put_string(b, "tokens"), put<std::uint32_t>(b, 9), put<std::uint32_t>(b, 8);
  put<std::uint64_t>(b, 2), put_string(b, "a"), put_string(b, "bc");
  put_string(b, "w"), put<std::uint32_t>(b, 2), put<std::int64_t>(b, 2), put<std::int64_t>(b, 1);
  put<std::uint32_t>(b, 0), put<std::uint64_t>(b, 0);
  b.resize((b.size() + 31) / 32 * 32);
  put<float>(b, 1.5F), put<float>(b, -2.0F);
  return b;
}

}  // namespace

void test_files() {
  auto const path = (std::filesystem::temp_directory_path() /
                     ("prefill_selftest_" + std::to_string(::getpid()) + ".gguf")).string();
  auto const bytes = tiny_gguf();
  std::ofstream(path, std::ios::binary) << bytes;
  {
    gguf const file(path);
    check(file.text("general.architecture", "") == "llama", "gguf: a text");
    check(file.integer("llama.block_count") == 30, "gguf: an integer");
    check(file.integer("absent", 7) == 7, "gguf: a default");
    check_close(file.real("llama.rope.freq_base", 0), 1e5, 0, "gguf: a real number");
    check(file.strings("tokens").at(1) == "bc", "gguf: an array of texts");
    float data[32];
    dequantise(file.tensor("w").type, file.bytes(file.tensor("w"), 8), data, 2);
    check(data[0] == 1.5F && data[1] == -2.0F, "gguf: a tensor");
    check_throws<std::runtime_error>([&] { file.tensor("x"); }, "no tensor 'x'", "gguf: absent");
    check_throws<std::runtime_error>([&] { file.bytes(file.tensor("w"), 9); }, "after the file's",
                                     "gguf: a tensor cut short");
  }
  for (std::size_t const length : {3, 20, 60, 150}) {
    std::ofstream(path, std::ios::binary) << bytes.substr(0, length);
    check_throws<std::runtime_error>([&] { gguf const file(path); }, "cannot use",
                                     "gguf: cut at " + std::to_string(length));
  }
  std::filesystem::remove(path);

  check(half_to_float(half_one) == 1.0F && half_to_float(minus_half) == -0.5F, "half: normal");
  check(half_to_float(0x0001) == 0x1p-24F && half_to_float(0x8001) == -0x1p-24F, "half: subnormal");
  check(std::isinf(half_to_float(0x7C00)) && half_to_float(0x7BFF) == 65504.0F, "half: largest");

  float out[32];
  std::string block;
  put(block, half_two);
  for (int i = 0; i < 32; ++i) put<signed char>(block, static_cast<signed char>(i - 16));
  dequantise(element::q8_0, block, out, 32);
  for (int i = 0; i < 32; ++i) check(out[i] == 2.0F * float(i - 16), "q8_0");
  std::string nibbles;  // element i holds i % 16, and element 16 + i holds 15 - i
  for (int i = 0; i < 16; ++i)
    put<unsigned char>(nibbles, static_cast<unsigned char>(i | (15 - i) << 4));
  block.clear();
  put(block, half_two);
  dequantise(element::q4_0, block + nibbles, out, 32);
  for (int i = 0; i < 16; ++i)
    check(out[i] == 2.0F * float(i - 8) && out[16 + i] == 2.0F * float(7 - i), "q4_0");
  put(block, minus_half);
  dequantise(element::q4_1, block + nibbles, out, 32);
  for (int i = 0; i < 16; ++i)
    check(out[i] == 2.0F * float(i) - 0.5F && out[16 + i] == 2.0F * float(15 - i) - 0.5F, "q4_1");
  dequantise(element::bf16, std::string("\xC0\x3F", 2), out, 1);
  check(out[0] == 1.5F, "bf16");
  check_throws<std::runtime_error>([] { layout_of(static_cast<element>(12)); }, "type 12",
                                   "an unknown element type");
}

namespace {

std::vector<std::string> pieces(std::string const& text, splitter rule) {
  auto const all = characters(text);
  piece_finder const finder(all, rule);
  std::vector<std::string> result;
  for (std::size_t at = 0; at < all.size();) {
    auto const next = finder.next(at);
    auto const end = next < all.size() ? all[next].begin : text.size();
    result.push_back(text.substr(all[at].begin, end - all[at].begin));
    at = next;
  }
  return result;
}

}  // namespace

void test_tokenizer() {
  using list = std::vector<std::string>;
  std::string const text = "It's  10 \xC3\xBC" "ber\n\n x!\n";
  check(pieces(text, splitter::gpt2) ==
            list{"It", "'s", " ", " 10", " \xC3\xBC" "ber", "\n\n", " x", "!", "\n"},
        "gpt2 pieces");
  check(pieces(text, splitter::smollm) ==
            list{"It", "'s", "  ", "1", "0", " \xC3\xBC" "ber", "\n\n", " x", "!", "\n"},
        "smollm pieces");
  check(pieces(text, splitter::qwen2) ==
            list{"It", "'s", " ", " ", "1", "0", " \xC3\xBC" "ber", "\n\n", " x", "!\n"},
        "qwen2 pieces");
  check(pieces("WE'LL(go)\t\tnow", splitter::qwen2) ==
            list{"WE", "'LL", "(go", ")", "\t", "\tnow"}, "qwen2: any case, joined punctuation");
  check(pieces("a\xFF" "b", splitter::gpt2) == list{"a", "\xFF", "b"}, "an invalid byte");

  // "\xC4\xA0" is the byte-level alphabet's blank.
  std::vector<std::string_view> const tokens = {"a", "b", "c", "ab", "abc", "\xC4\xA0",
                                                "\xC4\xA0" "ab", "bc"};
  std::vector<std::string_view> const merges = {"a b", "ab c", "\xC4\xA0 ab", "b c"};
  tokenizer const tiny(tokens, merges, splitter::smollm);
  check(tiny.encode("abc ab bc") == std::vector<int>({4, 6, 5, 7}), "bpe: merges in their order");
  check(tiny.encode("").empty(), "bpe: nothing");
  check_throws<std::runtime_error>([&] { tiny.encode("x"); }, "'x'", "bpe: no such letter");
  check_throws<std::runtime_error>([] { splitter_named("spm"); }, "'spm'", "an unknown splitter");
}

}  // namespace prefill_test
