// Patients' data, made up: what a hospital answers to a query is a function of (hospital, query) alone, so that the
// simulator knows every contribution and with it the only right answer.
#pragma once

#include <functional>
#include <map>

#include "hospital_node/data/workbench.h"

namespace consilium::sim {

// Within every block's bound. `wild` draws from the whole of it; otherwise the values are such that training goes on.
RawContribution TrueContribution(std::uint32_t hospital, const Query& query, bool wild);
// The ring words of it, contributors coordinate included; of a hospital that withholds them, zeros but for that one.
Bytes TrueVector(std::uint32_t hospital, const Query& query, bool wild, bool withheld = false);

class FakeWorkbench final : public node::Workbench {
 public:
  // Asked before each Compute; an error is what Compute returns then.
  using OnCompute = std::function<Status(const Plan&, const Query&, const std::map<Digest, Bytes>&)>;
  FakeWorkbench(std::uint32_t hospital, bool wild, bool unfit, OnCompute on_compute)
      : hospital_(hospital), wild_(wild), unfit_(unfit), on_compute_(std::move(on_compute)) {}

  [[nodiscard]] Result<Value> Check(const node::DataSetSpec& spec) const override;
  void Keep(const std::vector<node::DataSetSpec>& /*registered*/) const override {}
  [[nodiscard]] Status Preflight(const Plan& plan, const node::DataSetSpec& spec) const override;
  [[nodiscard]] Result<RawContribution> Compute(const Plan& plan, const node::DataSetSpec& spec, const Query& query,
                                                const std::map<Digest, Bytes>& inputs) const override;
  [[nodiscard]] Result<Value> OwnResults(const Plan& plan, const node::DataSetSpec& spec, const Query& last_query,
                                         ByteView model) const override;

 private:
  std::uint32_t hospital_;
  bool wild_, unfit_;  // Unfit: the data set does not fit any plan's schema.
  OnCompute on_compute_;
};

}  // namespace consilium::sim
