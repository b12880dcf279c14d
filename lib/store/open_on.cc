#include "store/open_on.h"

#include <utility>

#include "base/process.h"
#include "store/store_impl.h"

namespace once {

Store open_on(std::unique_ptr<engine::Engine> engine, const Options& options) {
  (void)fork_generation();  // counts from now on at the latest
  return Store::Impl::store_of(std::make_unique<Store::Impl>(std::move(engine), options));
}

}  // namespace once
