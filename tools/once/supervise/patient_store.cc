#include "patient_store.h"

#include "once/clock.h"
#include "opening.h"

namespace once::supervise {
namespace {

// In between, whether to give up is asked.
constexpr Duration slice = std::chrono::milliseconds(200);

}  // namespace

Result<Store> open_patiently(const std::string& where, std::optional<Layout> make,
                             const std::function<bool()>& give_up) {
  Options options = basic_options();
  options.create_if_missing = make.has_value();
  options.layout = make.value_or(options.layout);
  options.open_timeout_ms = slice;
  const auto clock = system_clock();
  const Duration deadline = clock->since_boot() + open_patience;
  for (;;) {
    auto store = open_store(where, options);
    if (store || store.error().code != ErrorCode::store_locked) return store;
    if (give_up() || clock->since_boot() >= deadline) return store;
  }
}

}  // namespace once::supervise
