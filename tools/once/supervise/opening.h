// What all openings of stores by the tool have in common, whoever opens them.
#pragma once

#include <string>

#include "once/error.h"
#include "once/options.h"
#include "once/store.h"

namespace once::supervise {

// From now on stores on file systems that others may share are opened, too. While there is one
// thread: it is what the command line says.
void allow_network_file_systems();

// Options that say that, and nothing else.
[[nodiscard]] Options basic_options();

// Store::open(), with errors that say what somebody at a command line can do.
[[nodiscard]] Result<Store> open_store(const std::string& where, const Options& options);

}  // namespace once::supervise
