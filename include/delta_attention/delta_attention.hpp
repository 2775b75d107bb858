#pragma once

#include <delta_attention/attention.hpp>
#include <delta_attention/delta.hpp>
#include <delta_attention/merge.hpp>
