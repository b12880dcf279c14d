#include "workloads/workload.h"

namespace once::bench {

void add_batches(std::vector<Workload>&) {}

}  // namespace once::bench
