"""The types that `py.typed` promises."""

import subprocess
import sys
import unittest
from pathlib import Path

import peers


@peers.needs("mypy", "optuna", "mlflow")
class Types(unittest.TestCase):
    def test_the_package_is_typed_throughout(self):
        config = Path(__file__).parent.parent / "pyproject.toml"
        run = subprocess.run(
            [sys.executable, "-m", "mypy", "--config-file", config, "--cache-dir", "/dev/null"],
            cwd=config.parent / "tests",
            capture_output=True,
            text=True,
        )
        self.assertEqual(run.returncode, 0, run.stdout + run.stderr)


if __name__ == "__main__":
    unittest.main()
