#pragma once

/// @namespace delta_attention
/// Attention under sparse masks, and its correction. Names in the namespaces `mask`, `kernel` and
/// `arch` within it are the library's own.

#include <delta_attention/attention.hpp>
#include <delta_attention/delta.hpp>
#include <delta_attention/merge.hpp>
