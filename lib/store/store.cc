// Opening and closing of stores, and what is common to all of their functions.
#include "once/store.h"

#include <utility>

#include "base/error.h"
#include "base/process.h"
#include "engine/embedded/embedded_engine.h"
#include "model/checkpoint_codec.h"
#include "store/store_impl.h"

namespace once {

Store::Impl::Impl(std::unique_ptr<engine::Engine> engine_of_store, Options opened_with)
    : options(std::move(opened_with)),
      clock(options.clock ? options.clock : system_clock()),
      processes(options.processes ? options.processes : system_processes()),
      self(processes->self()),
      generation(fork_generation()),
      meters(options.figures),
      kept_tallies(meters, [this] { return engine->tallies(); }),
      has_plan([this](const Key& key, Token origin) -> Result<bool> {
        auto plan = engine->checkpoint(key, model::plan_checkpoint);
        if (!plan) return pass(plan);
        return *plan && (*plan)->token >= origin;
      }),
      engine(std::make_unique<engine::CachingEngine>(std::move(engine_of_store),
                                                     options.replay_cache_bytes)),
      heartbeat(clock) {
  // Without what is kept nothing can be added to it: then it stays as it is.
  engine->keep_tallies(
      [this] { return kept_tallies.changed().value_or(std::vector<LabelTally>()); });
}

Result<void> Store::Impl::check_process() const {
  if (generation == fork_generation()) return {};
  return once::fail(ErrorCode::forked,
                    "this process was forked from the one that opened the store; open it here "
                    "anew, after the other has closed it");
}

Result<Store::Impl::Use> Store::Impl::use() {
  if (auto checked = check_process(); !checked) return pass(checked);
  // Counted first: close() sets `closed` and then waits for the count to fall.
  std::atomic<int>& count = users[thread_number() % users.size()].count;
  count.fetch_add(1);
  Use in_use(count);
  if (closed) return once::fail(ErrorCode::closed, "the store was closed; open it again");
  return in_use;
}

Result<Store::Impl::Use> Store::Impl::use(const Key& key) {
  if (auto valid = key.validate(); !valid) return pass(valid);
  return use();
}

ledger::Moment Store::Impl::moment(const Key& key, const engine::Current& current) const {
  ledger::Moment moment{.key = key,
                        .record = current.record,
                        .now = current.now,
                        .fresh = current.fresh,
                        .self = self,
                        .has_plan = &has_plan};
  if (current.record && current.record->status == Status::in_progress) {
    const Holder& holder = current.record->holder;
    moment.owner = holder == self ? Liveness::running : processes->liveness(holder);
  }
  return moment;
}

const Key& Store::Impl::relay_key() {
  static const Key key("", "once.relay", "outbox");
  return key;
}

Result<Store> Store::open(std::string_view where, const Options& options) {
  using engine::EmbeddedEngine;
  if (where.empty())
    return once::fail(ErrorCode::invalid_argument, "the path of the store is empty");
  if (where.find('\0') != std::string_view::npos) {
    return once::fail(ErrorCode::invalid_argument, "the path of the store has a NUL byte in it");
  }
  const std::size_t scheme = where.find("://");
  if (scheme != std::string_view::npos) {
    return once::fail(
        ErrorCode::invalid_argument,
        "stores of kind {} are not built in; give a path, or memory:", where.substr(0, scheme));
  }
  if (options.damaged_log == DamagedLog::keep_prefix && !options.read_only) {
    return once::fail(
        ErrorCode::invalid_argument,
        "DamagedLog::keep_prefix goes together with Options::read_only only: what it leaves "
        "out must not be overwritten");
  }
  (void)fork_generation();  // counts from before the first thread of the store
  auto engine = where == "memory:" ? EmbeddedEngine::open_memory(options)
                                   : EmbeddedEngine::open(std::string(where), {.options = options});
  if (!engine) return pass(engine);
  return Store(std::make_unique<Impl>(std::move(*engine), options));
}

Store::Store(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Store::Store(Store&&) noexcept = default;

Store& Store::operator=(Store&& other) noexcept {
  if (this != &other) {
    let_go();
    impl_ = std::move(other.impl_);
  }
  return *this;
}

Store::~Store() {
  let_go();
}

void Store::let_go() {
  (void)close();
  // Threads and locks of the parent are gone or held for ever here: left alone, on purpose.
  if (impl_ && !impl_->check_process()) (void)impl_.release();
}

Result<void> Store::close() {
  // In a forked child the store is the parent's, and stays here to say so.
  if (!impl_ || !impl_->check_process()) return {};
  if (impl_->closed.exchange(true)) return {};
  impl_->waiters.close();
  impl_->heartbeat.close();
  for (auto& [count] : impl_->users) {
    for (int left = count; left != 0; left = count) count.wait(left);
  }
  return impl_->engine->close();
}

}  // namespace once
