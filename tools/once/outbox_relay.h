// once outbox relay: delivers events to a web server or a file.
#pragma once

#include "context.h"

namespace once::tool {

void add_relay(CLI::App& outbox, Context& context);

}  // namespace once::tool
