"""What an HTML report holds, gathered from run folders."""
