// Precompiled header of the tool: the large headers that nearly every subcommand needs. With a
// guard, since compilers warn of #pragma once in what they compile by itself.
#ifndef ONCE_TOOL_PCH_H
#define ONCE_TOOL_PCH_H

#include <fmt/format.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <nlohmann/json.hpp>

#endif
