// A bank that keeps its accounts in a Store and takes part in transactions, so that what happened
// to money can be counted: every prepare, commit and abort that took effect leaves a mark in the
// same commit as its effect.
//
// The payload of a part is "ACCOUNT AMOUNT"; accounts begin with 100.
#pragma once

#include <cstdint>
#include <string>

#include "once/once.h"
#include "support/check_result.h"

namespace once::testing {

constexpr std::int64_t opening_balance = 100;

inline Result<std::int64_t> number_at(Transaction& tx, const std::string& row,
                                      std::int64_t otherwise) {
  auto value = tx.get(row);
  if (!value) return std::unexpected(value.error());
  return *value ? std::stoll(**value) : otherwise;
}

inline Result<void> add_to(Transaction& tx, const std::string& row, std::int64_t amount,
                           std::int64_t otherwise) {
  auto before = number_at(tx, row, otherwise);
  if (!before) return std::unexpected(before.error());
  return tx.put(row, std::to_string(*before + amount));
}

struct Order {
  std::string account;
  std::int64_t amount = 0;
};

inline Order order_of(const Bytes& payload) {
  const std::size_t space = payload.find(' ');
  return {.account = payload.substr(0, space), .amount = std::stoll(payload.substr(space + 1))};
}

// "done/PART:ASK" counts how often it took effect.
inline Result<void> mark(Transaction& tx, const ParticipantCall& call) {
  return add_to(tx, "done/" + call.key_of_ask().id, 1, 0);
}

// Takes `sign` * amount from the account and holds it until commit or abort.
inline Result<Bytes> hold(Transaction& tx, const ParticipantCall& call) {
  const Order order = order_of(call.payload);
  auto balance = number_at(tx, "balance/" + order.account, opening_balance);
  if (!balance) return std::unexpected(balance.error());
  if (*balance < order.amount) {
    return std::unexpected(work_failed("poor", order.account + " has too little"));
  }
  for (auto& written : {add_to(tx, "balance/" + order.account, -order.amount, opening_balance),
                        add_to(tx, "held/" + order.account, order.amount, 0), mark(tx, call)}) {
    if (!written) return std::unexpected(written.error());
  }
  return "hold of " + std::to_string(order.amount);
}

inline Result<void> let_go(Transaction& tx, const ParticipantCall& call, std::int64_t back) {
  const Order order = order_of(call.payload);
  for (auto& written :
       {add_to(tx, "held/" + order.account, -order.amount, 0),
        add_to(tx, "balance/" + order.account, back, opening_balance), mark(tx, call)}) {
    if (!written) return std::unexpected(written.error());
  }
  return {};
}

// Money leaves the account: held at prepare, gone at commit.
inline StoreWork debit_work() {
  return {
      .prepare = hold,
      .commit = [](Transaction& tx, const ParticipantCall& call) { return let_go(tx, call, 0); },
      .abort =
          [](Transaction& tx, const ParticipantCall& call) {
            return let_go(tx, call, order_of(call.payload).amount);
          }};
}

// Money arrives: expected at prepare, there at commit. Accounts that begin with '!' do not exist.
inline StoreWork credit_work() {
  const auto expect = [](Transaction& tx, const ParticipantCall& call, std::int64_t sign) {
    const Order order = order_of(call.payload);
    if (auto put = add_to(tx, "expected/" + order.account, sign * order.amount, 0); !put)
      return put;
    return mark(tx, call);
  };
  return {.prepare = [expect](Transaction& tx, const ParticipantCall& call) -> Result<Bytes> {
            if (call.payload.starts_with('!')) {
              return std::unexpected(work_failed("unknown", "no such account"));
            }
            if (auto put = expect(tx, call, 1); !put) return std::unexpected(put.error());
            return Bytes("expected");
          },
          .commit = [expect](Transaction& tx, const ParticipantCall& call) -> Result<void> {
            const Order order = order_of(call.payload);
            auto put = add_to(tx, "balance/" + order.account, order.amount, opening_balance);
            if (!put) return put;
            return expect(tx, call, -1);
          },
          .abort = [expect](Transaction& tx,
                            const ParticipantCall& call) { return expect(tx, call, -1); }};
}

// A step of a saga: `sign` * amount is added at once, and taken away again to compensate.
inline StoreWork saga_work(std::int64_t sign) {
  const auto move = [](Transaction& tx, const ParticipantCall& call,
                       std::int64_t by) -> Result<void> {
    const Order order = order_of(call.payload);
    if (order.account.starts_with('!')) {
      return std::unexpected(work_failed("unknown", "no such account"));
    }
    auto put = add_to(tx, "balance/" + order.account, by * order.amount, opening_balance);
    if (!put) return put;
    return mark(tx, call);
  };
  return {.prepare = [move, sign](Transaction& tx, const ParticipantCall& call) -> Result<Bytes> {
            if (auto moved = move(tx, call, sign); !moved) return std::unexpected(moved.error());
            return Bytes("moved");
          },
          .commit = {},
          .abort = [move, sign](Transaction& tx,
                                const ParticipantCall& call) { return move(tx, call, -sign); }};
}

inline std::int64_t number_in(Store& store, const std::string& row, std::int64_t otherwise) {
  const auto value = value_of(store.data(row));
  return value ? std::stoll(*value) : otherwise;
}

inline std::int64_t balance(Store& store, const std::string& account) {
  return number_in(store, "balance/" + account, opening_balance);
}

// Rows of what is neither committed nor aborted.
inline std::size_t prepared_rows(Store& store) {
  std::size_t count = 0;
  value_of(store.rows(Table::data, [&](const Row& row) {
    count += std::get<DataRow>(row).key.starts_with("once.step/") ? 1U : 0U;
    return true;
  }));
  return count;
}

}  // namespace once::testing
