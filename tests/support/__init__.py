"""What tests share: real servers, ports and rule files."""
