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

Result<Store> open_store(const std::string& where, const Options& options) {
  auto store = Store::open(where, options);
  if (store || store.error().code != ErrorCode::store_locked) return store;
  // There is no option for how long to wait.
  Error& error = store.error();
  const std::size_t advice = error.message.find(", or give it more time (Options::");
  if (advice != std::string::npos) {
    error.message.resize(advice);
    error.message += " and try again, or end it";
  }
  return store;
}

}  // namespace once::supervise
