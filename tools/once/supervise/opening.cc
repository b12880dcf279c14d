#include "opening.h"

namespace once::supervise {
namespace {

bool network_file_systems_allowed = false;

}  // namespace

void allow_network_file_systems() {
  network_file_systems_allowed = true;
}

Options basic_options() {
  Options options;
  options.allow_network_file_system = network_file_systems_allowed;
  return options;
}

}  // namespace once::supervise
