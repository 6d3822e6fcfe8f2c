// The operations. Plain loops over rows, with the innermost one over columns, which the compiler turns into vectors.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <exception>
#include <limits>
#include <mutex>
#include <thread>

#include "network.h"

namespace {

// Parallel calls body(i) for 0 <= i < n on as many threads as there are cores, and throws what the first of them threw.
template <typename Body>
void Parallel(int64_t n, int64_t work, const Stop& stop, const Body& body) {
  stop();
  const int64_t threads = work < 200000 ? 1 : std::min<int64_t>(n, std::max(1u, std::thread::hardware_concurrency()));
  std::atomic<int64_t> next{0};
  std::exception_ptr failure;
  std::mutex mutex;
  auto worker = [&] {
    try {
      for (int64_t i; (i = next++) < n;) {
        stop();
        body(i);
      }
    } catch (...) {
      std::lock_guard<std::mutex> lock(mutex);
      if (!failure) failure = std::current_exception();
      next = n;
    }
  };
  std::vector<std::thread> others;
  for (int64_t t = 1; t < threads; t++) others.emplace_back(worker);
  worker();
  for (std::thread& t : others) t.join();
  if (failure) std::rethrow_exception(failure);
}

// Relu keeps NaN.
inline float Relu(float v) { return v <= 0 ? 0 : v; }

constexpr int kTaps = 64;  // products that are added up in float32

// Span is the columns q of a row of results for which from <= q*stride + offset < size.
void Span(int64_t offset, int64_t stride, int64_t size, int64_t results, int64_t* from, int64_t* to) {
  *from = offset >= 0 ? 0 : (-offset + stride - 1) / stride;
  *to = offset >= size ? 0 : std::min(results, (size - 1 - offset) / stride + 1);
}

struct Convolution {
  const pb::Conv2D& o;
  const float *x, *w, *bias, *shortcut;
  const Shape &xs, &ws, &ys;
  float* y;

  // Row computes one row of one filter's result.
  void Row(int64_t n, int64_t k, int64_t p) const {
    const int64_t columns = ys[3], per_group = ws[0] / o.groups();
    std::vector<double> sum(columns, bias ? bias[k] : 0.0);
    std::vector<float> part(columns, 0.0f);
    int taps = 0;
    auto flush = [&] {
      for (int64_t q = 0; q < columns; q++) sum[q] += part[q], part[q] = 0;
      taps = 0;
    };
    for (int64_t c = 0; c < ws[1]; c++) {
      const float* plane = x + (n * xs[1] + k / per_group * ws[1] + c) * xs[2] * xs[3];
      for (int64_t r = 0; r < ws[2]; r++) {
        const int64_t row = p * o.stride().rows() - o.padding().top() + r * o.dilation().rows();
        if (row < 0 || row >= xs[2]) continue;
        for (int64_t s = 0; s < ws[3]; s++) {
          Tap(plane + row * xs[3], w[((k * ws[1] + c) * ws[2] + r) * ws[3] + s], s, part.data());
          if (++taps == kTaps) flush();
        }
      }
    }
    flush();
    Finish(((n * ys[1] + k) * ys[2] + p) * columns, sum);
  }

  // Tap adds one weight's products with a row.
  void Tap(const float* row, float weight, int64_t s, float* part) const {
    const int64_t offset = s * o.dilation().columns() - o.padding().left(), stride = o.stride().columns();
    int64_t from, to;
    Span(offset, stride, xs[3], ys[3], &from, &to);
    if (stride == 1) {
      for (int64_t q = from; q < to; q++) part[q] += weight * row[q + offset];
    } else {
      for (int64_t q = from; q < to; q++) part[q] += weight * row[q * stride + offset];
    }
  }

  void Finish(int64_t at, const std::vector<double>& sum) const {
    for (size_t q = 0; q < sum.size(); q++) {
      float v = float(sum[q]);
      if (shortcut) v += shortcut[at + q];
      y[at + q] = o.activation() == pb::ACTIVATION_RELU ? Relu(v) : v;
    }
  }
};

void Conv(const pb::Conv2D& o, const std::vector<const float*>& in, const std::vector<Shape>& shapes, float* y,
          const Shape& ys, const Stop& stop) {
  const Convolution c{o, in[0], in[1], o.bias() ? in[2] : nullptr, o.add() ? in[2 + o.bias()] : nullptr,
                      shapes[0], shapes[1], ys, y};
  const int64_t products = Elements(ys) * shapes[1][1] * shapes[1][2] * shapes[1][3];
  // A row in each turn, so that a caller who gives up is not kept waiting.
  Parallel(ys[0] * ys[1], products, stop, [&](int64_t i) {
    for (int64_t p = 0; p < ys[2]; p++) {
      if (p % 16 == 15) stop();
      c.Row(i / ys[1], i % ys[1], p);
    }
  });
}

void Linear(const std::vector<const float*>& in, const Shape& xs, float* y, const Shape& ys, const Stop& stop) {
  Parallel(ys[0] * ys[1], ys[0] * ys[1] * xs[1], stop, [&](int64_t i) {
    const float *x = in[0] + i / ys[1] * xs[1], *w = in[1] + i % ys[1] * xs[1];
    double sum = in.size() > 2 ? in[2][i % ys[1]] : 0.0;
    for (int64_t c = 0; c < xs[1]; c++) sum += double(x[c]) * w[c];
    y[i] = float(sum);
  });
}

void BatchNorm(double epsilon, const std::vector<const float*>& in, const Shape& xs, float* y, const Stop& stop) {
  const int64_t plane = xs[2] * xs[3];
  Parallel(xs[0] * xs[1], Elements(xs), stop, [&](int64_t i) {
    const int64_t c = i % xs[1];
    const double scale = in[1][c] / std::sqrt(in[4][c] + epsilon);
    for (int64_t j = i * plane; j < (i + 1) * plane; j++) y[j] = float((in[0][j] - double(in[3][c])) * scale + in[2][c]);
  });
}

void Softmax(const float* x, float* y, const Shape& xs, const Stop& stop) {
  const int64_t row = xs.back();
  Parallel(Elements(xs) / row, Elements(xs) * 16, stop, [&](int64_t i) {
    const float* a = x + i * row;
    const double top = *std::max_element(a, a + row);
    double sum = 0;
    for (int64_t j = 0; j < row; j++) sum += std::exp(a[j] - top);
    for (int64_t j = 0; j < row; j++) y[i * row + j] = float(std::exp(a[j] - top) / sum);
  });
}

// Windows calls body(plane, result index, first row, last row, first column, last column), ends excluded, for each
// window of a pool, clipped to the input.
template <typename Pool, typename Body>
void Windows(const Pool& o, const Shape& xs, const Shape& ys, const Stop& stop, const Body& body) {
  const int64_t work = Elements(ys) * o.kernel().rows() * o.kernel().columns();
  Parallel(ys[0] * ys[1] * ys[2], work, stop, [&](int64_t i) {
    const int64_t row = i % ys[2] * o.stride().rows() - o.padding().top();
    for (int64_t q = 0; q < ys[3]; q++) {
      const int64_t column = q * o.stride().columns() - o.padding().left();
      body(i / ys[2], i * ys[3] + q, row, column, std::max<int64_t>(row, 0), std::min(row + o.kernel().rows(), xs[2]),
           std::max<int64_t>(column, 0), std::min(column + o.kernel().columns(), xs[3]));
    }
  });
}

void MaxPool(const pb::MaxPool& o, const float* x, const Shape& xs, float* y, const Shape& ys, const Stop& stop) {
  Windows(o, xs, ys, stop, [&](int64_t plane, int64_t at, int64_t, int64_t, int64_t r0, int64_t r1, int64_t c0, int64_t c1) {
    float best = -std::numeric_limits<float>::infinity();
    for (int64_t r = r0; r < r1; r++)
      for (int64_t c = c0; c < c1; c++) {
        const float v = x[(plane * xs[2] + r) * xs[3] + c];
        if (v > best || std::isnan(v)) best = v;  // nothing is above NaN, so it stays
      }
    y[at] = best;
  });
}

void AvgPool(const pb::AvgPool& o, const float* x, const Shape& xs, float* y, const Shape& ys, const Stop& stop) {
  const pb::Padding& pad = o.padding();
  Windows(o, xs, ys, stop, [&](int64_t plane, int64_t at, int64_t row, int64_t column, int64_t r0, int64_t r1, int64_t c0, int64_t c1) {
    double sum = 0;
    for (int64_t r = r0; r < r1; r++)
      for (int64_t c = c0; c < c1; c++) sum += x[(plane * xs[2] + r) * xs[3] + c];
    int64_t count = (r1 - r0) * (c1 - c0);
    if (o.count_include_pad())
      count = (std::min(row + o.kernel().rows(), xs[2] + pad.bottom()) - row) *
              (std::min(column + o.kernel().columns(), xs[3] + pad.right()) - column);
    y[at] = float(sum / double(count));
  });
}

void GlobalAvgPool(const float* x, const Shape& xs, float* y, const Stop& stop) {
  const int64_t plane = xs[2] * xs[3];
  Parallel(xs[0] * xs[1], Elements(xs), stop, [&](int64_t i) {
    double sum = 0;
    for (int64_t j = i * plane; j < (i + 1) * plane; j++) sum += x[j];
    y[i] = float(sum / double(plane));
  });
}

void ChannelPad(const pb::ChannelPad& o, const float* x, const Shape& xs, float* y, const Shape& ys) {
  const int64_t plane = xs[2] * xs[3];
  std::fill(y, y + Elements(ys), 0.0f);
  for (int64_t n = 0; n < xs[0]; n++)
    std::copy_n(x + n * xs[1] * plane, xs[1] * plane, y + (n * ys[1] + o.before()) * plane);
}

void Subsample(const pb::Subsample& o, const float* x, const Shape& xs, float* y, const Shape& ys) {
  for (int64_t i = 0; i < ys[0] * ys[1]; i++)
    for (int64_t p = 0; p < ys[2]; p++)
      for (int64_t q = 0; q < ys[3]; q++)
        y[(i * ys[2] + p) * ys[3] + q] = x[(i * xs[2] + p * o.stride().rows()) * xs[3] + q * o.stride().columns()];
}

void Gate(const pb::Gate& o, const std::vector<const float*>& in, const Shape& xs, float* y, const Stop& stop) {
  const int64_t plane = xs[2] * xs[3];
  const bool relu = o.activation() == pb::ACTIVATION_RELU;
  Parallel(xs[0] * xs[1], Elements(xs), stop, [&](int64_t i) {
    const double open = 1 / (1 + std::exp(-double(in[1][i])));
    for (int64_t j = i * plane; j < (i + 1) * plane; j++) {
      const double v = in[0][j] * open + (o.add() ? in[2][j] : 0.0f);
      y[j] = relu ? Relu(float(v)) : float(v);
    }
  });
}

void GroupNorm(const pb::GroupNorm& o, const std::vector<const float*>& in, const Shape& xs, float* y, const Stop& stop) {
  const int64_t plane = xs[2] * xs[3], channels = xs[1] / o.groups(), size = channels * plane;
  const bool relu = o.activation() == pb::ACTIVATION_RELU;
  Parallel(xs[0] * o.groups(), Elements(xs), stop, [&](int64_t i) {
    const float* x = in[0] + i * size;
    double mean = 0, variance = 0;
    for (int64_t j = 0; j < size; j++) mean += x[j];
    mean /= double(size);
    for (int64_t j = 0; j < size; j++) variance += (x[j] - mean) * (x[j] - mean);
    const double scale = 1 / std::sqrt(variance / double(size) + o.epsilon());
    for (int64_t j = 0; j < size; j++) {
      const int64_t c = i % o.groups() * channels + j / plane;
      const float v = float((x[j] - mean) * scale * in[1][c] + in[2][c]);
      y[i * size + j] = relu ? Relu(v) : v;
    }
  });
}

void SplitAttention(const pb::SplitAttention& o, const std::vector<const float*>& in, const Shape& xs, float* y, const Shape& ys,
                    const Stop& stop) {
  const int64_t plane = ys[2] * ys[3], channels = ys[1], size = channels / o.groups();
  const bool relu = o.activation() == pb::ACTIVATION_RELU;
  Parallel(ys[0] * channels, Elements(xs), stop, [&](int64_t i) {
    const int64_t n = i / channels, c = i % channels;
    const float *x = in[0] + (n * xs[1] + c) * plane, *s = in[1] + n * xs[1] + c / size * o.radix() * size + c % size;
    double top = s[0], sum = 0;
    for (int64_t r = 1; r < o.radix(); r++) top = std::max(top, double(s[r * size]));
    for (int64_t r = 0; r < o.radix(); r++) sum += std::exp(s[r * size] - top);
    std::vector<double> mixed(plane, 0.0);
    for (int64_t r = 0; r < o.radix(); r++) {
      const double share = std::exp(s[r * size] - top) / sum;
      for (int64_t j = 0; j < plane; j++) mixed[j] += share * x[r * channels * plane + j];
    }
    for (int64_t j = 0; j < plane; j++) {
      const float v = float(mixed[j] + (o.add() ? in[2][i * plane + j] : 0.0f));
      y[i * plane + j] = relu ? Relu(v) : v;
    }
  });
}

void Concat(const std::vector<const float*>& in, const std::vector<Shape>& shapes, float* y, const Shape& ys) {
  const int64_t plane = ys[2] * ys[3];
  for (int64_t n = 0; n < ys[0]; n++)
    for (size_t i = 0; i < in.size(); i++) {
      const int64_t size = shapes[i][1] * plane;
      y = std::copy_n(in[i] + n * size, size, y);
    }
}

void ChannelSlice(const pb::ChannelSlice& o, const float* x, const Shape& xs, float* y, const Shape& ys) {
  const int64_t plane = xs[2] * xs[3];
  for (int64_t n = 0; n < xs[0]; n++) y = std::copy_n(x + (n * xs[1] + o.begin()) * plane, ys[1] * plane, y);
}

// Inside is the place i of a padded row or column in one of size elements, or -1 where there is a zero.
int64_t Inside(int64_t i, int64_t size, bool reflect) {
  if (i >= 0 && i < size) return i;
  if (!reflect) return -1;
  return i < 0 ? -i : 2 * (size - 1) - i;
}

void SpatialPad(const pb::SpatialPad& o, const float* x, const Shape& xs, float* y, const Shape& ys) {
  for (int64_t i = 0; i < ys[0] * ys[1] * ys[2]; i++) {
    const int64_t row = Inside(i % ys[2] - o.padding().top(), xs[2], o.reflect());
    for (int64_t q = 0; q < ys[3]; q++) {
      const int64_t column = Inside(q - o.padding().left(), xs[3], o.reflect());
      *y++ = row < 0 || column < 0 ? 0.0f : x[(i / ys[2] * xs[2] + row) * xs[3] + column];
    }
  }
}

}  // namespace

void Compute(const pb::Op& op, const std::vector<const float*>& in, const std::vector<Shape>& shapes, float* y,
             const Shape& ys, const Stop& stop) {
  const Shape& xs = shapes[0];
  const int64_t n = Elements(ys);
  if (n == 0) return;
  switch (op.kind_case()) {
    case pb::Op::kConv2D: return Conv(op.conv2d(), in, shapes, y, ys, stop);
    case pb::Op::kLinear: return Linear(in, xs, y, ys, stop);
    case pb::Op::kBatchNorm: return BatchNorm(op.batch_norm().epsilon(), in, xs, y, stop);
    case pb::Op::kRelu:
      for (int64_t i = 0; i < n; i++) y[i] = Relu(in[0][i]);
      return;
    case pb::Op::kAdd:
      for (int64_t i = 0; i < n; i++) y[i] = in[0][i] + in[1][i];
      return;
    case pb::Op::kSoftmax: return Softmax(in[0], y, xs, stop);
    case pb::Op::kMaxPool: return MaxPool(op.max_pool(), in[0], xs, y, ys, stop);
    case pb::Op::kAvgPool: return AvgPool(op.avg_pool(), in[0], xs, y, ys, stop);
    case pb::Op::kGlobalAvgPool: return GlobalAvgPool(in[0], xs, y, stop);
    case pb::Op::kFlatten:
    case pb::Op::kReshape: std::copy_n(in[0], n, y); return;
    case pb::Op::kChannelPad: return ChannelPad(op.channel_pad(), in[0], xs, y, ys);
    case pb::Op::kSubsample: return Subsample(op.subsample(), in[0], xs, y, ys);
    case pb::Op::kGate: return Gate(op.gate(), in, xs, y, stop);
    case pb::Op::kGroupNorm: return GroupNorm(op.group_norm(), in, xs, y, stop);
    case pb::Op::kSplitAttention: return SplitAttention(op.split_attention(), in, xs, y, ys, stop);
    case pb::Op::kConcat: return Concat(in, shapes, y, ys);
    case pb::Op::kChannelSlice: return ChannelSlice(op.channel_slice(), in[0], xs, y, ys);
    case pb::Op::kSpatialPad: return SpatialPad(op.spatial_pad(), in[0], xs, y, ys);
    default: throw std::logic_error("an operation that Infer does not know");
  }
}
