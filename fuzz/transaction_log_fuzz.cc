// Any checkpoints of a key as a transaction's log: an error, or a log of which each entry, written
// anew, is read as the same.
//
// The input: checkpoints one after the other, each a byte with the length of its name, the name
// without "once.tx.", two bytes (little-endian) with the length of its data, and the data.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "check.h"
#include "transaction/transaction_log.h"

namespace {

using namespace once;
using namespace once::fuzz;

std::vector<Checkpoint> checkpoints_in(ByteView input) {
  std::vector<Checkpoint> checkpoints;
  const auto take = [&](std::size_t length) {
    const ByteView taken = input.substr(0, length);
    input.remove_prefix(taken.size());
    return taken;
  };
  const auto byte = [&] {
    const ByteView taken = take(1);
    return taken.empty() ? std::size_t{0} : static_cast<std::uint8_t>(taken[0]);
  };
  while (!input.empty()) {
    const std::size_t name_bytes = byte();
    const std::string name = "once.tx." + std::string(take(name_bytes));
    const std::size_t low = byte();
    const Bytes bytes(take(low + 256 * byte()));
    checkpoints.push_back({.name = name, .data = bytes});
  }
  return checkpoints;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Key key("transfer");
  const auto log = transaction::read_log(key, checkpoints_in(view(data, size)));
  if (!log) {
    ONCE_CHECK(log.error().code == ErrorCode::damaged ||
               log.error().code == ErrorCode::newer_format);
    return 0;
  }
  if (!*log) return 0;
  const transaction::Log& read = **log;
  ONCE_CHECK(read.progress.size() == read.plan.size());
  std::vector<Checkpoint> written{transaction::plan_entry(read.plan)};
  if (!read.nonce.empty()) written.push_back(transaction::nonce_entry(read.nonce));
  if (read.decision) written.push_back(transaction::decision_entry(*read.decision));
  for (std::size_t i = 0; i < read.plan.size(); ++i) {
    const std::string& name = read.plan[i].participant;
    const transaction::Progress& progress = read.progress[i];
    if (progress.vote) written.push_back(transaction::vote_entry(name, *progress.vote));
    if (progress.settled) written.push_back(transaction::settled_entry(name));
    if (!(progress.trouble == transaction::Trouble{})) {
      written.push_back(transaction::trouble_entry(name, progress.trouble));
    }
  }
  const auto again = transaction::read_log(key, written);
  ONCE_CHECK(again.has_value() && again->has_value());
  ONCE_CHECK((*again)->plan == read.plan);
  ONCE_CHECK((*again)->nonce == read.nonce);
  ONCE_CHECK((*again)->decision == read.decision);
  for (std::size_t i = 0; i < read.plan.size(); ++i) {
    ONCE_CHECK((*again)->progress[i].vote == read.progress[i].vote);
    ONCE_CHECK((*again)->progress[i].settled == read.progress[i].settled);
    ONCE_CHECK((*again)->progress[i].trouble == read.progress[i].trouble);
  }
  return 0;
}
