from kube.conftest import cluster, programs_built, session_marked

__all__ = ["cluster", "programs_built", "session_marked"]
