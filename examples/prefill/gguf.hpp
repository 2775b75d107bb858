// A reader for GGUF model files: the metadata, and where each tensor lies in the mapped file.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>
#include <vector>

namespace prefill {

/// The file's bytes; views into it stay valid as long as this lives.
class mapped_file {
 public:
  explicit mapped_file(std::string const& path) {
    int const descriptor = ::open(path.c_str(), O_RDONLY);
    struct stat status {};
    if (descriptor < 0 || ::fstat(descriptor, &status) != 0 || status.st_size == 0) {
      if (descriptor >= 0) ::close(descriptor);
      throw std::runtime_error("cannot read '" + path + "': no such file, or it is empty");
    }
    size_ = static_cast<std::size_t>(status.st_size);
    void* const address = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, descriptor, 0);
    ::close(descriptor);
    if (address == MAP_FAILED) throw std::runtime_error("cannot map '" + path + "' into memory");
    data_ = static_cast<char const*>(address);
  }
  mapped_file(mapped_file const&) = delete;
  mapped_file& operator=(mapped_file const&) = delete;
  ~mapped_file() { ::munmap(const_cast<char*>(data_), size_); }
  std::string_view bytes() const { return {data_, size_}; }

 private:
  char const* data_ = nullptr;
  std::size_t size_ = 0;
};

/// ggml's numbers for the element types that this program can read.
enum class element : std::uint32_t { f32 = 0, f16 = 1, q4_0 = 2, q4_1 = 3, q8_0 = 8, bf16 = 30 };

struct gguf_tensor {
  std::vector<std::int64_t> extents;  // the fastest first, as in the file
  element type{};
  std::uint64_t offset = 0;
};

/// Arrays of numbers are stepped over: nothing here needs one.
using gguf_value = std::variant<std::monostate, std::int64_t, double, std::string_view,
                                std::vector<std::string_view>>;

class gguf {
 public:
  explicit gguf(std::string const& path) : path_(path), file_(path), rest_(file_.bytes()) {
    if (take(4) != "GGUF") fail("it does not start with the letters GGUF");
    auto const version = read<std::uint32_t>();
    if (version < 2 || version > 3)
      fail("its format version is " + std::to_string(version) + "; 2 and 3 are known");
    auto const tensors = read<std::uint64_t>();
    auto const values = read<std::uint64_t>();
    for (std::uint64_t i = 0; i < values; ++i) {
      std::string const key(read_string());
      auto const type = read<std::uint32_t>();
      values_[key] = read_value(type);
    }
    for (std::uint64_t i = 0; i < tensors; ++i) {
      gguf_tensor& tensor = tensors_[std::string(read_string())];
      tensor.extents.resize(read<std::uint32_t>() & 7);
      for (auto& extent : tensor.extents) extent = read<std::int64_t>();
      tensor.type = static_cast<element>(read<std::uint32_t>());
      tensor.offset = read<std::uint64_t>();
    }
    auto const alignment = static_cast<std::size_t>(integer("general.alignment", 32));
    if (alignment == 0) fail("its alignment is 0");
    std::size_t const header = file_.bytes().size() - rest_.size();
    data_ = (header + alignment - 1) / alignment * alignment;
  }

  bool has(std::string const& key) const { return values_.contains(key); }
  bool has_tensor(std::string const& name) const { return tensors_.contains(name); }

  std::int64_t integer(std::string const& key) const { return get<std::int64_t>(key); }
  std::int64_t integer(std::string const& key, std::int64_t otherwise) const {
    return has(key) ? integer(key) : otherwise;
  }
  double real(std::string const& key, double otherwise) const {
    return has(key) ? get<double>(key) : otherwise;
  }
  std::string text(std::string const& key, std::string const& otherwise) const {
    return has(key) ? std::string(get<std::string_view>(key)) : otherwise;
  }
  std::vector<std::string_view> const& strings(std::string const& key) const {
    return get<std::vector<std::string_view>>(key);
  }

  gguf_tensor const& tensor(std::string const& name) const {
    auto const found = tensors_.find(name);
    if (found == tensors_.end()) fail("it has no tensor '" + name + "'");
    return found->second;
  }
  /// The tensor's `count` bytes in the file.
  std::string_view bytes(gguf_tensor const& tensor, std::size_t count) const {
    std::string_view const all = file_.bytes();
    if (data_ > all.size() || tensor.offset > all.size() - data_ ||
        count > all.size() - data_ - tensor.offset)
      fail("a tensor ends after the file's end; is the download complete?");
    return all.substr(data_ + tensor.offset, count);
  }

  [[noreturn]] void fail(std::string const& why) const {
    throw std::runtime_error("cannot use the model '" + path_ + "': " + why);
  }

 private:
  template <class T>
  T const& get(std::string const& key) const {
    auto const found = values_.find(key);
    if (found == values_.end()) fail("its metadata lacks '" + key + "'");
    T const* const value = std::get_if<T>(&found->second);
    if (!value) fail("its metadata '" + key + "' is of an unexpected type");
    return *value;
  }

  std::string_view take(std::uint64_t count) {
    if (count > rest_.size()) fail("it ends within its header; is the download complete?");
    std::string_view const taken = rest_.substr(0, count);
    rest_.remove_prefix(count);
    return taken;
  }
  template <class T>
  T read() {
    T value;
    std::memcpy(&value, take(sizeof(T)).data(), sizeof(T));
    return value;
  }
  std::string_view read_string() { return take(read<std::uint64_t>()); }

  template <class T>
  gguf_value number() {
    T const value = read<T>();
    if constexpr (std::is_floating_point_v<T>) return double(value);
    else return static_cast<std::int64_t>(value);
  }
  gguf_value read_value(std::uint32_t type) {
    switch (type) {
      case 0: case 7: return number<std::uint8_t>();
      case 1: return number<std::int8_t>();
      case 2: return number<std::uint16_t>();
      case 3: return number<std::int16_t>();
      case 4: return number<std::uint32_t>();
      case 5: return number<std::int32_t>();
      case 6: return number<float>();
      case 8: return read_string();
      case 9: return read_array();
      case 10: return number<std::uint64_t>();
      case 11: return number<std::int64_t>();
      case 12: return number<double>();
      default: fail("its metadata has a value of the unknown type " + std::to_string(type));
    }
  }
  gguf_value read_array() {
    auto const type = read<std::uint32_t>();
    auto const count = read<std::uint64_t>();
    std::vector<std::string_view> strings;
    for (std::uint64_t i = 0; i < count; ++i) {
      gguf_value const value = read_value(type);
      if (auto const* string = std::get_if<std::string_view>(&value)) strings.push_back(*string);
    }
    if (strings.empty()) return std::monostate{};
    return strings;
  }

  std::string path_;
  mapped_file file_;
  std::string_view rest_;
  std::size_t data_ = 0;
  std::map<std::string, gguf_value> values_;
  std::map<std::string, gguf_tensor> tensors_;
};

}  // namespace prefill
