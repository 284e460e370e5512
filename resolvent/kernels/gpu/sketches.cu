// Sketch-and-project steps on a CUDA device. Meaning and shapes: resolvent/kernels/reference/sketches.py.
//
// The steps of a burst follow each other, each on the z that the last one left, so one thread block runs the whole
// burst and its threads share the work of a step. T is float or double, I the index type of a CSR matrix (int or
// long long); rows, blocks, order and pointers are long long. blockDim.x is a power of two, at most 1024.

template <typename T>
__device__ T block_sum(T value, T* shared) {
    const int t = threadIdx.x;
    shared[t] = value;
    __syncthreads();
    for (int half = blockDim.x / 2; half > 0; half /= 2) {
        if (t < half) shared[t] += shared[t + half];
        __syncthreads();
    }
    const T total = shared[0];
    __syncthreads();
    return total;
}

// Row `row` of a dense (n, n) or a CSR matrix, one interface for both.
template <typename T>
struct Dense {
    const T* A;
    long long n;
    __device__ long long length(long long) const { return n; }
    __device__ T value(long long row, long long k) const { return A[row * n + k]; }
    __device__ long long column(long long, long long k) const { return k; }
};

template <typename T, typename I>
struct Csr {
    const T* data;
    const I* indices;
    const I* indptr;
    __device__ long long length(long long row) const { return indptr[row + 1] - indptr[row]; }
    __device__ T value(long long row, long long k) const { return data[indptr[row] + k]; }
    __device__ long long column(long long row, long long k) const { return indices[indptr[row] + k]; }
};

template <typename T, typename M>
__device__ T row_residual(const M& A, const T* b, const T* z, long long row, T* shared) {
    T product = 0;
    for (long long k = threadIdx.x; k < A.length(row); k += blockDim.x)
        product += A.value(row, k) * z[A.column(row, k)];
    return block_sum(product, shared) - b[row];
}

template <typename T, typename M>
__device__ void subtract_row(const M& A, T* z, long long row, T step) {
    for (long long k = threadIdx.x; k < A.length(row); k += blockDim.x)
        z[A.column(row, k)] -= step * A.value(row, k);
    __syncthreads();
}

template <typename T, typename M>
__device__ void run_rows(const M& A, const T* b, T* z, const long long* rows, long long count, const T* weights) {
    __shared__ T shared[1024];
    for (long long s = 0; s < count; ++s) {
        const long long row = rows[s];
        const T step = weights[row] * row_residual(A, b, z, row, shared);
        subtract_row(A, z, row, step);
    }
}

// work <- w with L L^T w = work, w_j = 0 where L_jj = 0. All threads update the right-hand side of a pivot together.
template <typename T>
__device__ void solve_factor(const T* L, T* work, long long q, long long stride) {
    for (long long j = 0; j < q; ++j) {
        if (threadIdx.x == 0) work[j] = L[j * stride + j] > 0 ? work[j] / L[j * stride + j] : 0;
        __syncthreads();
        for (long long i = j + 1 + threadIdx.x; i < q; i += blockDim.x) work[i] -= L[i * stride + j] * work[j];
        __syncthreads();
    }
    for (long long j = q - 1; j >= 0; --j) {
        if (threadIdx.x == 0) work[j] = L[j * stride + j] > 0 ? work[j] / L[j * stride + j] : 0;
        __syncthreads();
        for (long long i = threadIdx.x; i < j; i += blockDim.x) work[i] -= L[j * stride + i] * work[j];
        __syncthreads();
    }
}

template <typename T, typename M>
__device__ void run_blocks(const M& A, const T* b, T* z, const long long* order, const long long* pointers,
                           const T* factors, long long stride, const long long* blocks, long long count, T* work) {
    __shared__ T shared[1024];
    for (long long s = 0; s < count; ++s) {
        const long long first = pointers[blocks[s]];
        const long long q = pointers[blocks[s] + 1] - first;
        for (long long i = 0; i < q; ++i) {
            const T residual = row_residual(A, b, z, order[first + i], shared);
            if (threadIdx.x == 0) work[i] = residual;
        }
        __syncthreads();
        solve_factor(factors + blocks[s] * stride * stride, work, q, stride);
        for (long long i = 0; i < q; ++i) subtract_row(A, z, order[first + i], work[i]);
    }
}

template <typename T>
__global__ void row_steps(const T* A, const T* b, T* z, const long long* rows, long long count, const T* weights,
                          long long n) {
    run_rows(Dense<T>{A, n}, b, z, rows, count, weights);
}

template <typename T, typename I>
__global__ void row_steps_csr(const T* data, const I* indices, const I* indptr, const T* b, T* z,
                              const long long* rows, long long count, const T* weights) {
    run_rows(Csr<T, I>{data, indices, indptr}, b, z, rows, count, weights);
}

template <typename T>
__global__ void block_row_steps(const T* A, const T* b, T* z, const long long* order, const long long* pointers,
                                const T* factors, long long stride, const long long* blocks, long long count,
                                T* work, long long n) {
    run_blocks(Dense<T>{A, n}, b, z, order, pointers, factors, stride, blocks, count, work);
}

template <typename T, typename I>
__global__ void block_row_steps_csr(const T* data, const I* indices, const I* indptr, const T* b, T* z,
                                    const long long* order, const long long* pointers, const T* factors,
                                    long long stride, const long long* blocks, long long count, T* work) {
    run_blocks(Csr<T, I>{data, indices, indptr}, b, z, order, pointers, factors, stride, blocks, count, work);
}

// Factor the Gram matrices in place, one thread block each: lower triangle in, L out, dependent columns zero.
template <typename T>
__global__ void factor_grams(T* factors, const long long* pointers, long long stride, T dependent) {
    const long long q = pointers[blockIdx.x + 1] - pointers[blockIdx.x];
    T* L = factors + blockIdx.x * stride * stride;
    __shared__ T pivot;
    for (long long j = 0; j < q; ++j) {
        if (threadIdx.x == 0) {
            const T diagonal = L[j * stride + j];
            T rest = diagonal;
            for (long long k = 0; k < j; ++k) rest -= L[j * stride + k] * L[j * stride + k];
            pivot = rest > dependent * diagonal ? sqrt(rest) : T(0);
            L[j * stride + j] = pivot;
        }
        __syncthreads();
        for (long long i = j + 1 + threadIdx.x; i < q; i += blockDim.x) {
            T total = L[i * stride + j];
            for (long long k = 0; k < j; ++k) total -= L[i * stride + k] * L[j * stride + k];
            L[i * stride + j] = pivot > 0 ? total / pivot : T(0);
            L[j * stride + i] = 0;
        }
        __syncthreads();
    }
}
