#include "workloads/workload.h"

namespace once::bench {

void add_hot_key(std::vector<Workload>&) {}

}  // namespace once::bench
