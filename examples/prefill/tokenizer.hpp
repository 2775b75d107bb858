// Byte-level BPE (GPT-2's scheme) from the vocabulary and merges of a GGUF file.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "unicode.hpp"

namespace prefill {

/// Where text is cut before merging; pieces are never merged across a cut.
enum class splitter { gpt2, smollm, qwen2 };

inline splitter splitter_named(std::string const& name) {
  if (name == "gpt-2") return splitter::gpt2;
  if (name == "smollm") return splitter::smollm;
  if (name == "qwen2") return splitter::qwen2;
  throw std::runtime_error("cannot tokenize for this model: its pre-tokenizer is '" + name +
                           "'; this program knows 'gpt-2', 'smollm' and 'qwen2'");
}

/// The published regular expressions, as code: each function takes what its alternative matches
/// at `at` and returns the end of the match, or `at` if there is none.
class piece_finder {
 public:
  piece_finder(std::vector<character> const& text, splitter rule) : text_(text), rule_(rule) {}

  std::size_t next(std::size_t at) const {
    bool const qwen = rule_ == splitter::qwen2;
    // smollm cuts out every digit first: what stands before one ends there for all other rules.
    std::size_t end = text_.size();
    if (rule_ == splitter::smollm) {
      if (text_[at].type == kind::number) return at + 1;
      end = run(at, text_.size(), [](character c) { return c.type != kind::number; });
    }
    if (auto const stop = contraction(at, end, qwen); stop > at) return stop;
    bool const blank = text_[at].code == U' ';
    bool const joins = qwen ? text_[at].type != kind::number && !newline(text_[at]) : blank;
    if (auto const stop = run_after(at, end, joins, kind::letter); stop > at) return stop;
    if (qwen && text_[at].type == kind::number) return at + 1;
    if (auto const stop = run_after(at, end, blank, kind::number); !qwen && stop > at) return stop;
    if (auto const stop = run_after(at, end, blank, kind::other); stop > at)
      return qwen ? run(stop, end, newline) : stop;
    return space(at, end, qwen);
  }

 private:
  static bool newline(character c) { return c.code == U'\n' || c.code == U'\r'; }

  template <class Predicate>
  std::size_t run(std::size_t at, std::size_t end, Predicate holds) const {
    while (at < end && holds(text_[at])) ++at;
    return at;
  }
  /// A run of `type`, after one leading character where `joins` allows it.
  std::size_t run_after(std::size_t at, std::size_t end, bool joins, kind type) const {
    auto const same = [type](character c) { return c.type == type; };
    if (same(text_[at])) return run(at, end, same);
    if (!joins) return at;
    auto const stop = run(at + 1, end, same);
    return stop > at + 1 ? stop : at;
  }
  std::size_t contraction(std::size_t at, std::size_t end, bool any_case) const {
    if (text_[at].code != U'\'') return at;
    for (std::u32string_view const tail : {U"s", U"t", U"re", U"ve", U"m", U"ll", U"d"}) {
      std::size_t length = 0;
      while (length < tail.size() && at + 1 + length < end) {
        char32_t c = text_[at + 1 + length].code;
        if (any_case && c >= U'A' && c <= U'Z') c += 32;
        if (c != tail[length]) break;
        ++length;
      }
      if (length == tail.size()) return at + 1 + length;
    }
    return at;
  }
  /// White space: up to the last line end (qwen2), else all but the blank that the next word takes.
  std::size_t space(std::size_t at, std::size_t end, bool lines) const {
    auto const stop = run(at, end, [](character c) { return c.type == kind::space; });
    for (auto last = stop; lines && last > at; --last)
      if (newline(text_[last - 1])) return last;
    return stop == end || stop == at + 1 ? stop : stop - 1;
  }

  std::vector<character> const& text_;
  splitter rule_;
};

class tokenizer {
 public:
  tokenizer(std::vector<std::string_view> const& tokens,
            std::vector<std::string_view> const& merges, splitter rule)
      : rule_(rule) {
    for (std::size_t i = 0; i < tokens.size(); ++i) ids_.emplace(tokens[i], int(i));
    for (std::size_t i = 0; i < merges.size(); ++i) ranks_.emplace(merges[i], int(i));
    // Every byte gets a printable character: itself where it has one, else one from 256 upward.
    char32_t spare = 256;
    for (char32_t b = 0; b < 256; ++b) {
      bool const printable =
          (b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b <= 0xAC) || (b >= 0xAE && b <= 0xFF);
      bytes_[b] = utf8(printable ? b : spare++);
    }
  }

  std::vector<int> encode(std::string_view text) const {
    std::vector<int> result;
    std::unordered_map<std::string_view, std::vector<int>> known;
    auto const all = characters(text);
    piece_finder const pieces(all, rule_);
    for (std::size_t at = 0; at < all.size();) {
      auto const next = pieces.next(at);
      auto const end = next < all.size() ? all[next].begin : text.size();
      auto const piece = text.substr(all[at].begin, end - all[at].begin);
      auto const [entry, added] = known.try_emplace(piece);
      if (added) entry->second = merge(piece);
      result.insert(result.end(), entry->second.begin(), entry->second.end());
      at = next;
    }
    return result;
  }

 private:
  /// Joins the neighbours whose merge was learned first, until no merge applies.
  std::vector<int> merge(std::string_view piece) const {
    std::vector<std::string> parts;
    for (char const c : piece) parts.push_back(bytes_[static_cast<unsigned char>(c)]);
    for (;;) {
      int best = std::numeric_limits<int>::max();
      std::size_t where = 0;
      for (std::size_t i = 0; i + 1 < parts.size(); ++i) {
        auto const found = ranks_.find(parts[i] + ' ' + parts[i + 1]);
        if (found != ranks_.end() && found->second < best) best = found->second, where = i;
      }
      if (best == std::numeric_limits<int>::max()) break;
      parts[where] += parts[where + 1];
      parts.erase(parts.begin() + std::ptrdiff_t(where) + 1);
    }
    std::vector<int> result;
    for (auto const& part : parts) {
      auto const found = ids_.find(part);
      if (found == ids_.end())
        throw std::runtime_error("the model's vocabulary has no token for '" + part +
                                 "': its byte-level alphabet is incomplete");
      result.push_back(found->second);
    }
    return result;
  }

  // Transparent look-up would need a hash of its own; the merges' keys are built anyway.
  std::unordered_map<std::string, int> ids_;
  std::unordered_map<std::string, int> ranks_;
  std::array<std::string, 256> bytes_;
  splitter rule_;
};

}  // namespace prefill
