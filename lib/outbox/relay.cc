// The public face of a relay.
#include <utility>

#include "base/error.h"
#include "outbox/backoff.h"
#include "outbox/relay_impl.h"

namespace once {

Relay::Relay(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Relay::~Relay() {
  if (!impl_->check_process()) (void)impl_.release();  // the parent's; see Store::let_go()
}

Result<std::unique_ptr<Relay>> Relay::create(Store& store, std::unique_ptr<Publisher> publisher,
                                             const RelayOptions& options) {
  if (!publisher) {
    return fail(ErrorCode::invalid_argument, "a relay without a publisher delivers to nobody");
  }
  if (auto checked = outbox::check(options); !checked) return pass(checked);
  if (store.impl_->options.read_only) {
    return fail(ErrorCode::unsupported,
                "the store was opened to read; a relay notes what it delivered, so open it without "
                "Options::read_only");
  }
  if (auto in_use = store.impl_->use(); !in_use) return pass(in_use);
  return std::unique_ptr<Relay>(
      new Relay(std::make_unique<Impl>(*store.impl_, std::move(publisher), options)));
}

Result<std::unique_ptr<Relay>> Relay::start(Store& store, std::unique_ptr<Publisher> publisher,
                                            const RelayOptions& options) {
  auto relay = create(store, std::move(publisher), options);
  if (!relay) return relay;
  if (auto started = (*relay)->impl_->start(); !started) return pass(started);
  return relay;
}

Result<DeliveryReport> Relay::deliver_now(std::uint64_t most, Duration longest) {
  return impl_->deliver_now(most, longest);
}

Result<void> Relay::stop() {
  return impl_->stop();
}

RelayStatus Relay::status() const {
  return impl_->status();
}

}  // namespace once
