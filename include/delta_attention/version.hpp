#pragma once

/// The library's version as "major.minor.patch". (CMake reads it from here.)
#define DELTA_ATTENTION_VERSION "0.1.0"
