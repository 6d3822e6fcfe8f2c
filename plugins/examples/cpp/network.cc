#include "network.h"

#include <algorithm>
#include <cstring>

namespace {

constexpr int kMaxValues = 262144;

void CheckName(const std::string& name) {
  const char* marks = "_./-:+";
  bool good = !name.empty() && name.size() <= 256;
  for (char c : name)
    good = good && ((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (c != 0 && std::strchr(marks, c)));
  if (!good) throw Invalid("name: want 1 to 256 of A-Z a-z 0-9 _ . / - : +, got \"" + name.substr(0, 80) + "\"");
}

}  // namespace

int Network::Add(const std::string& name, const pb::TensorType& type) {
  CheckName(name);
  if (!names_.emplace(name, int(values_.size())).second) throw Invalid("name: \"" + name + "\" is there twice");
  Shape shape = CheckType(type);
  values_.push_back({&type, shape, 4 * Elements(shape)});
  return int(values_.size()) - 1;
}

Network::Network(pb::Graph graph) : graph_(std::move(graph)) {
  CheckName(graph_.name());
  if (int64_t{graph_.inputs_size()} + graph_.parameters_size() + graph_.nodes_size() > kMaxValues)
    throw Invalid("graph: want at most " + std::to_string(kMaxValues) + " values");
  if (graph_.inputs_size() == 0 || graph_.outputs_size() == 0) throw Invalid("graph: want an input and an output");
  for (const pb::Value& v : graph_.inputs()) Add(v.name(), v.type());
  for (const pb::Value& v : graph_.parameters()) Add(v.name(), v.type());
  for (const pb::Node& node : graph_.nodes()) {
    Step step{&node, {}, 0};
    std::vector<Shape> in;
    for (const std::string& name : node.inputs()) {
      auto found = names_.find(name);
      if (found == names_.end()) throw Misfit(node.name(), "node", "input", "a value made before", name);
      step.inputs.push_back(found->second);
      in.push_back(values_[found->second].shape);
      values_[found->second].uses++;
    }
    const Shape result = Infer(node.name(), node.op(), in);
    step.result = Add(node.name(), node.result());
    if (result != values_[step.result].shape) throw Misfit(node.name(), "node", "result", "what follows from the inputs", TypeText(node.result()));
    steps_.push_back(std::move(step));
  }
  for (const std::string& name : graph_.outputs()) {
    auto found = names_.find(name);
    const int inputs = graph_.inputs_size();
    if (found == names_.end() || (found->second >= inputs && found->second < inputs + graph_.parameters_size()))
      throw Invalid("outputs: want inputs or results, got \"" + name.substr(0, 80) + "\"");
    outputs_.push_back(found->second);
    values_[found->second].uses++;
  }
  data_.resize(graph_.parameters_size());
}

void Network::Append(const pb::ParameterData& piece) {
  const int first = graph_.inputs_size();
  auto bytes = [&](size_t i) { return size_t(values_[first + i].bytes); };
  while (next_ < data_.size() && data_[next_].size() == bytes(next_)) next_++;
  if (next_ == data_.size() || piece.parameter() != next_ || piece.offset() != data_[next_].size() || piece.data().empty() ||
      piece.data().size() > (1 << 20) || piece.data().size() > bytes(next_) - data_[next_].size())
    throw Invalid("data: piece of parameter " + std::to_string(piece.parameter()) + " at " + std::to_string(piece.offset()) +
                  " does not follow what came before");
  data_[next_] += piece.data();
}

void Network::Finish() const {
  for (size_t i = 0; i < data_.size(); i++)
    if (int64_t(data_[i].size()) != values_[graph_.inputs_size() + i].bytes)
      throw Invalid("data: parameter \"" + graph_.parameters(int(i)).name() + "\" has " + std::to_string(data_[i].size()) + " of " +
                    std::to_string(values_[graph_.inputs_size() + i].bytes) + " bytes");
}

std::vector<pb::Value> Network::Inputs() const { return {graph_.inputs().begin(), graph_.inputs().end()}; }

std::vector<pb::Value> Network::Outputs() const {
  std::vector<pb::Value> out;
  for (int i = 0; i < graph_.outputs_size(); i++) {
    pb::Value v;
    v.set_name(graph_.outputs(i));
    *v.mutable_type() = *values_[outputs_[i]].type;
    out.push_back(std::move(v));
  }
  return out;
}

void Network::Run(const std::vector<const float*>& in, const std::vector<float*>& out, const Stop& stop) const {
  std::vector<const float*> at(values_.size(), nullptr);
  std::vector<std::unique_ptr<float[]>> made(values_.size());
  std::vector<int> uses(values_.size());
  for (size_t i = 0; i < values_.size(); i++) uses[i] = values_[i].uses;
  for (size_t i = 0; i < in.size(); i++) at[i] = in[i];
  for (size_t i = 0; i < data_.size(); i++) at[in.size() + i] = reinterpret_cast<const float*>(data_[i].data());

  std::vector<const float*> operands;
  std::vector<Shape> shapes;
  for (const Step& step : steps_) {
    operands.clear();
    shapes.clear();
    for (int i : step.inputs) operands.push_back(at[i]), shapes.push_back(values_[i].shape);
    const Value& result = values_[step.result];
    made[step.result].reset(new float[size_t(result.bytes / 4)]);
    at[step.result] = made[step.result].get();
    Compute(step.node->op(), operands, shapes, made[step.result].get(), result.shape, stop);
    for (int i : step.inputs)
      if (--uses[i] == 0) made[i].reset();  // read for the last time
    if (uses[step.result] == 0) made[step.result].reset();
  }
  for (size_t i = 0; i < out.size(); i++)
    if (values_[outputs_[i]].bytes > 0) std::memcpy(out[i], at[outputs_[i]], size_t(values_[outputs_[i]].bytes));
}
