// What the pre-tokenizers' regular expressions ask of a character: letter, number or space.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace prefill {

enum class kind : std::uint8_t { letter, number, space, other };

struct character {
  char32_t code;
  kind type;
  std::size_t begin;  // in bytes
};

/// Right for Latin, Greek, Cyrillic, CJK and common symbols. The full tables are 700 ranges long;
/// with these few, rare scripts' combining marks count as letters, which merely splits their
/// words at other places.
inline kind classify(char32_t c) {
  struct range {
    char32_t first, last;
  };
  static constexpr range others[] = {
      {0x80, 0xA9},     {0xAB, 0xB4},     {0xB6, 0xB9},     {0xBB, 0xBF},     {0xD7, 0xD7},
      {0xF7, 0xF7},     {0x2C2, 0x2C5},   {0x2D2, 0x2DF},   {0x2E5, 0x2EB},   {0x2EF, 0x36F},
      {0x375, 0x375},   {0x37E, 0x37E},   {0x384, 0x385},   {0x387, 0x387},   {0x3F6, 0x3F6},
      {0x482, 0x489},   {0x55A, 0x55F},   {0x589, 0x5CF},   {0x5F3, 0x61F},   {0x64B, 0x66D},
      {0x2010, 0x2070}, {0x207A, 0x207E}, {0x208A, 0x208F}, {0x20A0, 0x2101}, {0x2190, 0x2BFF},
      {0x2E00, 0x2E7F}, {0x3001, 0x3004}, {0x3008, 0x3030}, {0x30FB, 0x30FB}, {0xD800, 0xF8FF},
      {0xFE00, 0xFE6F}, {0xFF01, 0xFF20}, {0xFF3B, 0xFF40}, {0xFF5B, 0xFF65}, {0xFFE0, 0xFFFF},
      {0x1F000, 0x1FBEF}, {0xE0000, 0x10FFFF}};
  static constexpr range numbers[] = {
      {U'0', U'9'},     {0xB2, 0xB3},     {0xB9, 0xB9},     {0xBC, 0xBE},     {0x660, 0x669},
      {0x6F0, 0x6F9},   {0x966, 0x96F},   {0x2070, 0x2070}, {0x2074, 0x2079}, {0x2080, 0x2089},
      {0x2150, 0x2189}, {0x2460, 0x249B}, {0x2776, 0x2793}, {0x3007, 0x3007}, {0xFF10, 0xFF19}};
  static constexpr range spaces[] = {
      {0x09, 0x0D},     {0x20, 0x20},     {0x85, 0x85},     {0xA0, 0xA0},     {0x1680, 0x1680},
      {0x2000, 0x200A}, {0x2028, 0x2029}, {0x202F, 0x202F}, {0x205F, 0x205F}, {0x3000, 0x3000}};
  auto const within = [c](auto const& ranges) {
    for (range const& r : ranges)
      if (c >= r.first && c <= r.last) return true;
    return false;
  };
  if (within(spaces)) return kind::space;
  if (within(numbers)) return kind::number;
  if (c < 0x80) return (c | 32) >= U'a' && (c | 32) <= U'z' ? kind::letter : kind::other;
  return within(others) ? kind::other : kind::letter;
}

/// Splits UTF-8 into characters; a byte that starts no valid sequence becomes one of its own.
inline std::vector<character> characters(std::string_view text) {
  std::vector<character> result;
  result.reserve(text.size());
  for (std::size_t i = 0; i < text.size();) {
    auto const byte = [&](std::size_t at) { return static_cast<unsigned char>(text[at]); };
    unsigned const lead = byte(i);
    std::size_t const length = lead < 0x80 ? 1 : lead >> 5 == 6 ? 2 : lead >> 4 == 14 ? 3
                               : lead >> 3 == 30 ? 4 : 0;
    char32_t code = length == 1 ? lead : lead & (0x7Fu >> length);
    bool valid = length > 0 && i + length <= text.size();
    for (std::size_t j = 1; valid && j < length; ++j) {
      valid = byte(i + j) >> 6 == 2;
      code = code << 6 | (byte(i + j) & 63u);
    }
    if (!valid) code = 0xFFFD;
    result.push_back({code, classify(code), i});
    i += valid ? length : 1;
  }
  return result;
}

/// `code` as UTF-8 (two bytes at most: the byte-level alphabet needs no more).
inline std::string utf8(char32_t code) {
  if (code < 0x80) return {static_cast<char>(code)};
  return {static_cast<char>(0xC0 | code >> 6), static_cast<char>(0x80 | (code & 63))};
}

}  // namespace prefill
