"""Errors that mean that memory ran out."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the memory of a GPU or of the machine ran out."""
    from accelerate.utils.memory import should_reduce_batch_size  # here: it imports torch, which takes seconds

    # accelerate does not know of allocations outside of torch.
    others = ("CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED")
    return (
        isinstance(error, MemoryError)
        or should_reduce_batch_size(error)
        or (isinstance(error, RuntimeError) and any(text in str(error) for text in others))
    )


def with_causes(error: BaseException) -> list[BaseException]:
    """The error, then its cause, and so on back to the first error."""
    chain = [error]
    while (earlier := chain[-1].__cause__ or chain[-1].__context__) is not None and earlier not in chain:
        chain.append(earlier)
    return chain
