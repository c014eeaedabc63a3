import sys
from pathlib import Path

# Test modules and the processes that they start share the toy backbone.
sys.path.insert(0, str(Path(__file__).parent))
