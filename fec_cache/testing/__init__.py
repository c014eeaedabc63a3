"""What tests, benchmarks and the tests of users share."""
