"""What makes the deployment's files, and keeps them together: chart values from types, plain manifests from the chart."""
