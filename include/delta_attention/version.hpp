#pragma once

// The one place of the version: CMake reads it from here.
#define DELTA_ATTENTION_VERSION "0.1.0"
