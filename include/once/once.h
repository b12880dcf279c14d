// Everything an application needs.
//
//   #include <once/once.h>
//
//   auto store = once::Store::open("payments.once").value();
//   auto paid = store.execute("charge:order-42", [&] { return gateway.charge(order); });
#pragma once

#include "once/bytes.h"
#include "once/checkpoint.h"
#include "once/clock.h"
#include "once/codec.h"
#include "once/coordinator.h"
#include "once/error.h"
#include "once/event.h"
#include "once/execute.h"
#include "once/fields.h"
#include "once/figures.h"
#include "once/history.h"
#include "once/holder.h"
#include "once/idempotent.h"
#include "once/inbox.h"
#include "once/key.h"
#include "once/lock.h"
#include "once/options.h"
#include "once/outbox.h"
#include "once/outcome.h"
#include "once/pipeline.h"
#include "once/question.h"
#include "once/record.h"
#include "once/report.h"
#include "once/reservation.h"
#include "once/row.h"
#include "once/store.h"
#include "once/transaction.h"
#include "once/version.h"
#include "once/webhook.h"
#include "once/workflow.h"
#include "once/workflow_types.h"
