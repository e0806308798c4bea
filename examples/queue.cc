// Threads that pass work on, marked. Build and record it:
//
//	c++ -std=c++17 -O2 -pthread -Iinclude examples/queue.cc -o queue
//	cairn record --with pthread -- ./queue
#include <cairn/trace.h>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <string>
#include <thread>

template <class T> class Queue
{
	std::mutex lock;
	std::condition_variable filled;
	std::deque<T> items;

      public:
	void put(T item)
	{
		std::lock_guard<std::mutex> held(lock);

		items.push_back(std::move(item));
		CAIRN(queue, put, (depth, items.size()));
		filled.notify_one();
	}
	T get()
	{
		std::unique_lock<std::mutex> held(lock);

		filled.wait(held, [this] { return !items.empty(); });
		T item = std::move(items.front());
		items.pop_front();
		CAIRN(queue, get, item, (depth, items.size()));
		return item;
	}
};

int main()
{
	Queue<std::string> queue;
	std::thread worker([&] {
		while (queue.get() != "stop")
			continue;
	});

	for (int i = 0; i < 5; i++)
		queue.put("job " + std::to_string(i));
	queue.put("stop");
	worker.join();
}
